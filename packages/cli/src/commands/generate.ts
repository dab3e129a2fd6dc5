import { join } from 'node:path';
import { Dictionary, openTokenDecoder, readTokenMap, type TokenDecoder } from '@knn-lm/binarizer';
import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import { readManifest } from '@knn-lm/datastore';
import { generate, type GeneratedToken, type GenerateOptions, type Sampling } from '@knn-lm/knn-lm';
import {
  GenerationModel,
  type Device,
  type GenerationModelOptions,
  type Precision,
} from '@knn-lm/lm-runtime';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import { generateOptions } from '../options/generate.js';
import type { CommandLine, ParsedArguments } from '../options/parse.js';
import { parsePythonDictionary } from '../options/python-dictionary.js';
import type { Command, CommandContext } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import type { NeighborSetup } from './eval.js';
import { modelResult } from './eval-result.js';
import { explanation, pieceStream, tokenResult, tokenText } from './generate-output.js';
import { encodeForModel, encodePrompt, promptText, type Prompt } from './generate-prompt.js';
import { checkDictionary, optional, type Values } from './lm-task.js';
import { openSettledNeighbors, settleValues } from './settings-file.js';

const commandLine: CommandLine = {
  program: 'knn-lm generate',
  description:
    'Continues a prompt with a language model, mixed with its nearest neighbours where there is a datastore.',
  positionals: { data: 'folder made by fairseq-preprocess, for its dict.txt' },
  options: generateOptions,
};

/** `knn-lm generate`. */
export const generateCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const settled = await settleValues(parsed);
    const { values } = settled;
    // Standard output belongs to the text.
    const { log, progress } = openTerminal({ json: true });
    const logger = log.named('knn_lm.generate');
    reportOptionsWithoutEffect(parsed, logger);
    const surroundings = { signal: context.signal, onProgress: progress.report, logger };
    const data = values['data'] as string;
    const dictionary = await Dictionary.load(join(data, 'dict.txt'));
    const [tokenizer, map] = [await openTokenDecoder(data), await readTokenMap(data)];
    const model = await openModel(values, {
      ...surroundings,
      moduleToCapture: await moduleOf(parsed),
      modelTokenIds: map?.modelIds,
    });
    let neighbors: NeighborSetup | undefined;
    try {
      checkDictionary(dictionary, model, data, values['path'] as string);
      const addBos = model.info.addBosToken || values['add_bos_token'] === true;
      const text = promptText(values['prompt'] as string);
      const prompt =
        tokenizer === undefined || map === undefined
          ? encodePrompt(text, dictionary, addBos)
          : encodeForModel(text, tokenizer, map);
      reportUnknown(prompt, (message) => logger.warn(message));
      if (settled.file !== undefined && values['datastore'] === null) throw settingsAlone();
      if (values['datastore'] !== null) {
        neighbors = await openSettledNeighbors(settled, { model, dictionary }, surroundings);
        for (const line of neighbors.description) logger.info(line);
      }
      progress.close();
      const startMs = performance.now();
      const options = { ...optionsOf(values, neighbors), signal: context.signal };
      const tokens = await stream(generate(model, prompt.tokens, options), {
        prompt,
        dictionary,
        tokenizer,
        values,
        context,
      });
      return {
        ...resultOf(tokens, prompt, dictionary, tokenizer),
        model: modelResult(values, { model }),
        neighbors: neighbors === undefined ? null : neighborsResult(neighbors),
        seconds: (performance.now() - startMs) / 1000,
      };
    } finally {
      progress.close();
      neighbors?.close();
      await model.close();
    }
  },
};

/** The module given, or that of the datastore; a model alone has a default of its own. */
async function moduleOf({ given, values }: ParsedArguments): Promise<string | undefined> {
  if (given.some(({ flags }) => flags.includes('--module-to-capture')))
    return values['module_to_capture'] as string;
  if (values['datastore'] === null) return undefined;
  const manifest = await readManifest(values['datastore'] as string);
  return manifest?.identity.moduleToCapture ?? (values['module_to_capture'] as string);
}

function openModel(
  values: Values,
  options: Pick<GenerationModelOptions, 'moduleToCapture' | 'modelTokenIds'> & TaskOptions,
): Promise<GenerationModel> {
  return GenerationModel.open(values['path'] as string, {
    ...options,
    modelOverrides: parsePythonDictionary(values['model_overrides'] as string, '--model-overrides'),
    threads: optional(values['threads'] as number | null),
    device: values['device'] as Device,
    precision: values['precision'] as Precision,
    modelCache: optional(values['model_cache'] as string | null),
    contextLength: optional(values['context_length'] as number | null),
  });
}

function settingsAlone(): KnnLmError {
  return new KnnLmError(
    'DATASTORE_MISSING',
    '--settings says how neighbours are mixed in, but there is no datastore',
    {
      hint: 'Add --datastore, or leave --settings out.',
    },
  );
}

function reportUnknown({ unknownWords }: Prompt, warn: (message: string) => void): void {
  if (unknownWords.length === 0) return;
  const count = unknownWords.length === 1 ? 'a word' : `${unknownWords.length} words`;
  warn(`${count} of the prompt that the dictionary does not have, read as <unk>: ${unknownWords.join(', ')}`);
}

/** Special symbols of every dictionary. */
const [eosId, unkId] = [2, 3];

function optionsOf(values: Values, neighbors: NeighborSetup | undefined): GenerateOptions {
  return {
    maxTokens: values['max_len_b'] as number,
    sampling: samplingOf(values),
    stopTokens: values['ignore_eos'] === true ? [] : [eosId],
    excludedTokens: values['no_unk'] === true ? [unkId] : [],
    ...(neighbors === undefined ? {} : { retriever: neighbors.retriever, ...neighbors.mixing }),
  };
}

function samplingOf(values: Values): Sampling | undefined {
  const given = ['sampling_topk', 'sampling_topp'].filter((name) => (values[name] as number) > 0);
  if (values['sampling'] !== true) {
    if (given.length === 0) return undefined;
    throw new KnnLmError('SAMPLING_MISSING', `--${given[0].replace('_', '-')} is for sampling`, {
      hint: 'Add --sampling.',
    });
  }
  const positive = (name: string) => ((values[name] as number) > 0 ? (values[name] as number) : undefined);
  return {
    seed: values['seed'] as number,
    temperature: values['temperature'] as number,
    topK: positive('sampling_topk'),
    topP: positive('sampling_topp'),
  };
}

interface StreamContext {
  readonly prompt: Prompt;
  readonly dictionary: Dictionary;
  /** Of data that were made with one. */
  readonly tokenizer: TokenDecoder | undefined;
  readonly values: Values;
  readonly context: CommandContext;
}

/** Shows the text as it grows. A reader that has gone away ends it. */
async function stream(
  generated: AsyncIterable<GeneratedToken>,
  { prompt, dictionary, tokenizer, values, context }: StreamContext,
): Promise<GeneratedToken[]> {
  const explain = values['explain'] === true;
  const tokens: GeneratedToken[] = [];
  const pieceOf = tokenizer && pieceStream(tokenizer, prompt.tokens, explain);
  let shown = prompt.text;
  context.print(shown);
  try {
    for await (const token of generated) {
      tokens.push(token);
      // A line does not begin with a space.
      const text = pieceOf?.(token) ?? tokenText(token, dictionary, explain);
      const atStart = pieceOf === undefined && (shown === '' || shown.endsWith('\n'));
      const piece = atStart ? text.replace(/^ /, '') : text;
      shown = piece;
      if (!context.print(piece)) break;
    }
  } finally {
    if (!shown.endsWith('\n')) context.print('\n');
  }
  if (explain) context.print(`\n${explanation(tokens, dictionary, values['sampling'] === true)}`);
  return tokens;
}

function resultOf(
  tokens: readonly GeneratedToken[],
  prompt: Prompt,
  dictionary: Dictionary,
  tokenizer: TokenDecoder | undefined,
) {
  const last = tokens.at(-1);
  const ids = Int32Array.from(tokens, ({ token }) => token);
  return {
    prompt: prompt.text,
    prompt_tokens: [...prompt.tokens],
    unknown_words: prompt.unknownWords,
    text: tokenizer?.decode(ids) ?? Array.from(ids, (id) => dictionary.symbol(id)).join(' '),
    tokens: tokens.map((token) => tokenResult(token, dictionary)),
    decided_by_neighbors: tokens.filter(({ decidedByNeighbors }) => decidedByNeighbors).length,
    ended_by: last?.token === eosId ? 'end of line' : 'length',
  };
}

function neighborsResult({ about, lambdaResult, mixing, retriever }: NeighborSetup) {
  return {
    ...about,
    num_neighbors: retriever.k,
    lambda_value: lambdaResult,
    temperature_value: mixing.temperature,
  };
}
