import type { DescribedCommand, DescribedOption } from './described-command.js';

/**
 * A script that completes the programs in bash 4 and later, without the package bash-completion.
 *
 * @param commands - what to complete
 * @param version - of the commands
 */
export function bashCompletion(commands: readonly DescribedCommand[], version: string): string {
  const programs = commands.filter(({ program }) => program !== undefined);
  return `# bash completion of knn-lm ${version}: source <(knn-lm completion bash)

# The options of a command.
_knn_lm_options() {
  case $1 in
${commands.map(({ name, options }) => `    ${name}) echo '${options.flatMap(({ flags }) => flags).join(' ')}' ;;`).join('\n')}
  esac
}

# What follows an option: none, many, files, or words to choose from.
_knn_lm_value() {
  case $1:$2 in
${commands.flatMap(valueCases).join('\n')}
  esac
}

# What a positional argument may be.
_knn_lm_positional() {
  case $1 in
${commands
  .filter(({ positionals }) => positionals.length > 0)
  .map(positionalCase)
  .join('\n')}
  esac
}

_knn_lm_offer() {
  local cur=$1 what=$2
  case $what in
    files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    anything) COMPREPLY=() ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$what" -- "$cur") ;;
  esac
}

_knn_lm() {
  local cur=\${COMP_WORDS[COMP_CWORD]} command first=1 i word option what takes
  COMPREPLY=()
  case \${COMP_WORDS[0]##*/} in
${programs.map(({ program, name }) => `    ${program as string}) command=${name} ;;`).join('\n')}
    *)
      if ((COMP_CWORD == 1)); then
        _knn_lm_offer "$cur" '${commands.map(({ name }) => name).join(' ')} help version'
        return
      fi
      command=\${COMP_WORDS[1]}
      first=2
      ;;
  esac
  # The option before the cursor, if a value of it may stand here. bash makes --flag=value three words.
  [[ $cur == = ]] && cur=
  for ((i = COMP_CWORD - 1; i >= first; i--)); do
    word=\${COMP_WORDS[i]}
    [[ $word == -* ]] && option=$word && break
  done
  if [[ -n $option && $cur != -* ]]; then
    read -r takes what <<<"$(_knn_lm_value "$command" "$option")"
    local distance=$((COMP_CWORD - i))
    # With = between them the value is one word farther away, or = itself.
    [[ \${COMP_WORDS[i + 1]} == = ]] && ((distance > 1)) && ((distance--))
    if [[ $takes == many || ($takes == one && $distance == 1) ]]; then
      _knn_lm_offer "$cur" "$what"
      return
    fi
  fi
  if [[ $cur == -* ]]; then
    _knn_lm_offer "$cur" "$(_knn_lm_options "$command")"
    return
  fi
  what=$(_knn_lm_positional "$command")
  if [[ -n $what ]]; then _knn_lm_offer "$cur" "$what"; else _knn_lm_offer "$cur" "$(_knn_lm_options "$command")"; fi
}

complete -F _knn_lm knn-lm ${programs.map(({ program }) => program).join(' ')}
`;
}

/** Lines `command:--flag) echo 'takes words' ;;` of the options that take values. */
function valueCases({ name, options }: DescribedCommand): string[] {
  return options
    .filter(({ takes }) => takes === 'one' || takes === 'many')
    .map((option) => {
      const patterns = option.flags.map((flag) => `${name}:${flag}`).join(' | ');
      return `    ${patterns}) echo '${option.takes} ${offered(option)}' ;;`;
    });
}

function offered({ choices, files }: Pick<DescribedOption, 'choices' | 'files'>): string {
  if (choices !== undefined) return choices.join(' ');
  return files ? 'files' : 'anything';
}

function positionalCase({ name, positionals }: DescribedCommand): string {
  return `    ${name}) echo '${offered(positionals[0])}' ;;`;
}
