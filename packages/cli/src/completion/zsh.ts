import type { Completed, DescribedCommand, DescribedOption } from './described-command.js';

/**
 * A script that completes the programs in zsh: sourced after `compinit`, or saved as `_knn-lm` in a folder of `fpath`.
 *
 * @param commands - what to complete
 * @param version - of the commands
 */
export function zshCompletion(commands: readonly DescribedCommand[], version: string): string {
  const programs = commands.flatMap(({ program }) => program ?? []);
  return `#compdef knn-lm ${programs.join(' ')}
# zsh completion of knn-lm ${version}: source <(knn-lm completion zsh)

_knn_lm_command() {
  case $1 in
${commands.map(commandCase).join('\n')}
  esac
}

_knn_lm() {
  case \${words[1]:t} in
${commands.flatMap(({ program, name }) => (program === undefined ? [] : [`    ${program}) _knn_lm_command ${name} ;;`])).join('\n')}
    *)
      if ((CURRENT == 2)); then
        local -a commands=(
${commands.map(({ name, summary }) => `          ${quote(`${name}:${summary}`)}`).join('\n')}
          'help:list the commands'
          'version:print the version'
        )
        _describe -t commands command commands
      else
        local name=\${words[2]}
        shift words
        ((CURRENT--))
        _knn_lm_command $name
      fi
      ;;
  esac
}

if [[ \${funcstack[1]} == _knn_lm || \${funcstack[1]} == _knn-lm ]]; then
  _knn_lm "$@"
else
  compdef _knn_lm knn-lm ${programs.join(' ')}
fi
`;
}

function commandCase({ name, options, positionals }: DescribedCommand): string {
  const specs = [
    ...options.flatMap(optionSpecs),
    ...positionals.map((positional) => positionalSpec(positional)),
  ];
  return `    ${name})
      _arguments -s \\
${specs.map((spec) => `        ${quote(spec)}`).join(' \\\n')}
      ;;`;
}

/** `--flag[help]:message:action`, once for each spelling; `*:` lets a list go on to the next option. */
function optionSpecs(option: DescribedOption): string[] {
  const message = option.help.replaceAll(/[[\]:\\]/g, '\\$&');
  const value = valueSpec(option);
  return option.flags.map((flag) => `${option.takes === 'many' ? '*' : ''}${flag}[${message}]${value}`);
}

function valueSpec(option: DescribedOption): string {
  if (option.takes === 'none') return '';
  const action = actionOf(option);
  const colon = { one: ':', optional: '::', many: ':' }[option.takes];
  return `${colon}value:${action}`;
}

function positionalSpec(positional: DescribedCommand['positionals'][number]): string {
  return `:${positional.name}:${actionOf(positional)}`;
}

function actionOf({ choices, files }: Completed): string {
  if (choices !== undefined) return `(${choices.join(' ')})`;
  return files ? '_files' : ' ';
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
