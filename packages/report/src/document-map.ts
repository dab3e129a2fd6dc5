/** Where the documents of a text begin. */
export interface DocumentMap {
  /** How they were found. */
  readonly rule: 'headings' | 'blank lines' | 'parts';
  /** `[documents]` first token of each, ascending; the first is 0. */
  readonly starts: Float64Array;
  /** Title of a document. */
  title(document: number): string;
}

/** What {@link findDocuments} reads of a text: the dataset of `@knn-lm/binarizer`. */
export interface DocumentText {
  /** `[sentences]` tokens of each sentence, `</s>` included. */
  readonly sizes: Int32Array;
  /** Number of tokens of all sentences. */
  readonly tokenCount: number;
  /** Ids of a range of the text. */
  readTokens(start: number, end: number): Int32Array;
}

/** What is needed of a dictionary: the one of `@knn-lm/binarizer`. */
export interface Words {
  /** Number of ids. */
  readonly size: number;
  /** Id of `</s>`. */
  readonly eos: number;
  /** Id of `<unk>`. */
  readonly unk: number;
  /** Symbol of an id. */
  symbol(id: number): string;
  /** Id of a symbol. */
  index(symbol: string): number;
  /** How often it occurred in the text the dictionary was made from. */
  count(id: number): number;
}

/** A text without marks is cut into this many equal parts. */
const partCount = 20;

/** Tokens read at a time. */
const pieceTokens = 2 ** 20;

/** A title longer than this is cut. */
const titleWords = 16;

/**
 * Finds the documents of a text. WikiText marks them by headings ` = Title = ` (of sections, ` = = Title = = `); other
 * texts put blank lines between them, as fairseq's `complete_doc` expects; a text with neither is cut into 20 equal parts.
 *
 * @param text - the evaluated text
 * @param words - its dictionary
 */
export function findDocuments(text: DocumentText, words: Words): DocumentMap {
  for (const [rule, startsDocument] of [
    ['headings', headingRule(words)],
    ['blank lines', blankLineRule()],
  ] as const) {
    const marked = documentsBy(text, startsDocument);
    if (marked.length === 0) continue;
    const starts = withFirst(marked, text, words);
    return { rule, starts, title: (document) => titleAt(text, words, starts[document]) };
  }
  const parts = Math.min(partCount, text.tokenCount);
  const starts = Float64Array.from({ length: parts }, (_, i) => Math.floor((text.tokenCount * i) / parts));
  return { rule: 'parts', starts, title: (document) => `part ${document + 1} of ${parts}` };
}

/** Whether a document begins with a sentence, given by its tokens without `</s>`. */
type StartRule = (sentence: Int32Array) => boolean;

function headingRule(words: Words): StartRule {
  const mark = words.index('=');
  if (mark === words.unk) return () => false;
  return (sentence) => {
    const { length } = sentence;
    return (
      length >= 3 &&
      sentence[0] === mark &&
      sentence[1] !== mark &&
      sentence[length - 1] === mark &&
      sentence[length - 2] !== mark
    );
  };
}

function blankLineRule(): StartRule {
  let previousIsBlank = false;
  return (sentence) => {
    const starts = previousIsBlank && sentence.length > 0;
    previousIsBlank = sentence.length === 0;
    return starts;
  };
}

function documentsBy(text: DocumentText, startsDocument: StartRule): number[] {
  const starts: number[] = [];
  let piece = new Int32Array(0);
  let pieceStart = 0;
  let position = 0;
  for (const size of text.sizes) {
    if (position + size > pieceStart + piece.length) {
      pieceStart = position;
      piece = Int32Array.from(
        text.readTokens(position, Math.min(position + Math.max(size, pieceTokens), text.tokenCount)),
      );
    }
    const at = position - pieceStart;
    if (startsDocument(piece.subarray(at, at + size - 1))) starts.push(position);
    position += size;
  }
  return starts;
}

/** What comes before the first mark is a document too, unless there are only blank lines. */
function withFirst(marked: readonly number[], text: DocumentText, words: Words): Float64Array {
  const before = text.readTokens(0, Math.min(marked[0], pieceTokens));
  const isBlank = before.every((id) => id === words.eos);
  return Float64Array.from(isBlank ? [0, ...marked.slice(1)] : [0, ...marked]);
}

/** The first line that has words, without the marks of a heading. */
function titleAt(text: DocumentText, words: Words, start: number): string {
  const ids = text.readTokens(start, Math.min(start + 4 * titleWords, text.tokenCount));
  const first = ids.findIndex((id) => id !== words.eos);
  const end = ids.indexOf(words.eos, Math.max(first, 0));
  const line = ids.subarray(Math.max(first, 0), end < 0 ? ids.length : end);
  const mark = words.index('=');
  const symbols = Array.from(
    line.filter((id) => id !== mark || mark === words.unk),
    (id) => words.symbol(id),
  );
  const shown = symbols.slice(0, titleWords).join(' ');
  return symbols.length > titleWords ? `${shown} …` : shown;
}
