import { throwIfAborted } from '@knn-lm/common';
import { LmRuntimeError } from './errors.js';
import type { PreparedSteps } from './prepared-steps.js';
import type { StepResult } from './step-contract.js';
import type { WorkerSession } from './worker-session.js';

/** Tokens that are read in one run: a stop comes after one such run, and attention skips what is masked. */
const tokensPerRun = 512;

/** Of a context that is full this much is kept, so that it need not be read again with every token. */
const keptShare = 3 / 4;

/** What a {@link Generation} works with. */
export interface GenerationParts {
  /** The model. */
  readonly steps: PreparedSteps;
  /** Where it runs. */
  readonly session: WorkerSession;
  /** Number of the row in the session's cache. */
  readonly row: number;
  /** Longest context. */
  readonly contextLength: number;
  /** Stops the work between two runs. */
  readonly signal: AbortSignal | undefined;
}

/**
 * A text that is being continued: the model's view of what comes next, and a way to go on.
 *
 * Where the context would exceed `contextLength` tokens, its newest three quarters are read anew and the rest is
 * forgotten, so that memory and the time of a step are bounded.
 */
export class Generation {
  readonly #parts: GenerationParts;
  #context: number[] = [];
  /** Tokens of the context that are in the cache. */
  #cached = 0;
  #latest: StepResult = { hidden: new Float32Array(), logProbs: new Float32Array() };
  #state: 'ready' | 'busy' | 'failed' | 'closed' = 'ready';

  private constructor(parts: GenerationParts) {
    this.#parts = parts;
  }

  /**
   * Reads a prefix. Callers use `GenerationModel.start`.
   *
   * @internal
   */
  static async start(parts: GenerationParts, prefix: Int32Array): Promise<Generation> {
    if (prefix.length === 0) {
      throw new LmRuntimeError('PREFIX_EMPTY', 'there is nothing to continue', {
        hint: "A text of its own begins with </s>, as fairseq's samples do (or <s>, where addBosToken says so).",
      });
    }
    const generation = new Generation(parts);
    try {
      await generation.#read(prefix);
    } catch (error) {
      generation.close();
      throw error;
    }
    return generation;
  }

  /** Hidden state of the captured module at the last token, `[keyDimension]`: the query of a search. */
  get hidden(): Float32Array {
    return this.#latest.hidden;
  }

  /**
   * Natural log-probability of each token that may come next, `[vocabSize]`. Minus infinity for those that the model does
   * not have; where several entries of a dictionary are one token of the model, `</s>`, `<unk>` or the first has its probability.
   */
  get logProbs(): Float32Array {
    return this.#latest.logProbs;
  }

  /** Tokens that the next prediction depends on; fewer than were given once the context was cut. */
  get contextTokens(): number {
    return this.#context.length;
  }

  /**
   * Goes on with a token: `hidden` and `logProbs` are then those after it.
   *
   * @param token - what comes next, whether the model would have chosen it or not
   * @throws {@link LmRuntimeError} `TOKEN_OUT_OF_RANGE`, `TOKEN_WITHOUT_MODEL_ID`, `PADDING_INSIDE`, `RUN_FAILED`,
   * `GENERATION_BUSY` while another call is not done, `CLOSED`
   * @throws CancelledError when the signal has fired; the generation cannot go on then
   */
  async advance(token: number): Promise<void> {
    await this.#read(Int32Array.of(token));
  }

  /** Frees what is kept of the text. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#parts.session.forget(this.#parts.row);
  }

  async #read(tokens: Int32Array): Promise<void> {
    this.#requireReady();
    const modelTokens = this.#modelTokens(tokens);
    const { contextLength } = this.#parts;
    for (const token of modelTokens) this.#context.push(token);
    if (this.#context.length > contextLength) {
      this.#context = this.#context.slice(-Math.max(1, Math.floor(contextLength * keptShare)));
      this.#cached = 0;
    }
    this.#state = 'busy';
    try {
      const { hidden, logProbs } = await this.#catchUp();
      const { tokenIds } = this.#parts.steps;
      this.#latest = { hidden, logProbs: tokenIds?.toDictionary(logProbs) ?? logProbs };
      this.#becomes('ready');
    } catch (error) {
      this.#becomes('failed');
      throw error;
    }
  }

  /** Runs the model on the tokens that it has not seen. */
  async #catchUp(): Promise<StepResult> {
    const { steps, session, row, signal } = this.#parts;
    const { contract, cache } = steps;
    const perRun = cache === undefined ? this.#context.length : tokensPerRun;
    if (cache === undefined) this.#cached = 0;
    for (;;) {
      throwIfAborted(signal, 'stopped between two tokens');
      const length = this.#cached;
      const tokens = Int32Array.from(this.#context.slice(length, length + perRun));
      const end = length + tokens.length;
      const response = await session.run({
        ...contract.request(tokens, length),
        ...(cache === undefined ? {} : { cache: { row, length } }),
      });
      this.#cached = end;
      if (end === this.#context.length) return contract.result(response);
    }
  }

  #modelTokens(tokens: Int32Array): number[] {
    const { limits, tokenIds } = this.#parts.steps;
    return Array.from(tokens, (token, i) => {
      if (!(token >= 0 && token < limits.vocabSize)) throw outOfRange(token, i, limits.vocabSize);
      if (token === limits.padIndex) throw paddingInside(i);
      return tokenIds?.modelId('TOKEN', token, i, tokens.length) ?? token;
    });
  }

  #requireReady(): void {
    if (this.#state === 'ready') return;
    if (this.#state === 'busy') {
      throw new LmRuntimeError('GENERATION_BUSY', 'the token before is not read yet', {
        hint: 'Await each call of advance before the next one.',
      });
    }
    throw new LmRuntimeError(
      'CLOSED',
      `the generation is closed${this.#state === 'failed' ? ': a step has failed' : ''}`,
    );
  }

  /** What is closed stays closed. */
  #becomes(state: 'ready' | 'failed'): void {
    if (this.#state === 'closed') this.#parts.session.forget(this.#parts.row);
    else this.#state = state;
  }
}

function outOfRange(id: number, index: number, vocabSize: number): LmRuntimeError {
  return new LmRuntimeError(
    'TOKEN_OUT_OF_RANGE',
    `token ${id} (number ${index}) is not in the model's vocabulary of ${vocabSize}`,
    {
      hint: 'The text must be binarized with the dictionary that the model was trained with.',
      details: { id, index, vocabSize },
    },
  );
}

function paddingInside(index: number): LmRuntimeError {
  return new LmRuntimeError('PADDING_INSIDE', `token number ${index} is padding, which no text holds`, {
    hint: 'Leave the symbol <pad> out.',
    details: { index },
  });
}
