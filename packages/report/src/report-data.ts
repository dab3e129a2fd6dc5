import type { IndexStatistics } from '@knn-lm/index';

/**
 * Tokens that have something in common, and what the neighbours did for them. Losses are sums of bits, so that groups
 * can be added up; a mean is a sum divided by `tokens`.
 */
export interface TokenGroup {
  /** What the tokens have in common, in a few words. */
  readonly label: string;
  /** How many there are. */
  readonly tokens: number;
  /** Loss of the language model alone, in bits. */
  readonly lmBits: number;
  /** Loss of the mixture, in bits. */
  readonly mixedBits: number;
  /** Tokens that the mixture gives a higher probability than the model alone does. */
  readonly helped: number;
}

/** A number of adjoining classes of a quantity. */
export interface HistogramBin {
  /** Lower end, inclusive; `null` where everything below belongs to it. */
  readonly from: number | null;
  /** Upper end, exclusive; `null` where everything above belongs to it. */
  readonly to: number | null;
  /** How many values fall between. */
  readonly count: number;
}

/** Lambda and temperature, and the perplexity that they give. */
export interface GridPoint {
  /** Neighbours that count. */
  readonly k: number;
  /** Divisor of the squared distances. */
  readonly temperature: number;
  /** Weight of the neighbours. */
  readonly lambda: number;
  /** Of the evaluated text; `null` where no token counts. */
  readonly perplexity: number | null;
}

/** The perplexity for every combination of k, lambda and temperature; computed exactly, from one search. */
export interface SettingsGrid {
  /** Numbers of neighbours, ascending; the last is the number that was searched. */
  readonly ks: readonly number[];
  /** Temperatures, ascending. */
  readonly temperatures: readonly number[];
  /** Lambdas, ascending. */
  readonly lambdas: readonly number[];
  /** `[temperatures][lambdas]` perplexities with all neighbours. */
  readonly surface: readonly (readonly (number | null)[])[];
  /** The lowest perplexity of the surface. */
  readonly best: GridPoint;
  /** For each k the perplexity with the run's own lambda and temperature. */
  readonly chosenByK: readonly GridPoint[];
  /** For each k the lowest perplexity over all lambdas and temperatures. */
  readonly bestByK: readonly GridPoint[];
}

/** One of the neighbours of a token. */
export interface PassageNeighbor {
  /** Row of the datastore. */
  readonly row: number;
  /** Squared distance. */
  readonly distance: number;
  /** Part of the whole weight of all neighbours, 0 to 1. */
  readonly share: number;
  /** The word that followed there. */
  readonly word: string;
  /** The words before it; empty where the datastore's text is not known. */
  readonly before: string;
  /** The words behind it. */
  readonly after: string;
}

/** A word that the neighbours of a token predict. */
export interface PassagePrediction {
  /** The word. */
  readonly word: string;
  /** Part of the weight of all neighbours, 0 to 1. */
  readonly share: number;
}

/** One token of a passage. */
export interface PassageToken {
  /** The word. */
  readonly word: string;
  /** Natural logarithm of the model's probability. */
  readonly lmLogProb: number;
  /** The neighbours' probability. */
  readonly knnProb: number;
  /** Natural logarithm of the mixture. */
  readonly logProb: number;
  /** What the neighbours predict: the words with the largest shares of their weight. */
  readonly predictions: readonly PassagePrediction[];
  /** The nearest neighbours, nearest first. */
  readonly neighbors: readonly PassageNeighbor[];
}

/** Why a passage is shown. */
export type PassageKind = 'helped' | 'hurt' | 'random';

/** Some consecutive tokens of the text. */
export interface Passage {
  /** Whether it is one of the most helped, of the most hurt, or drawn at random. */
  readonly kind: PassageKind;
  /** Place of the first token in the text, counted over all its sentences. */
  readonly position: number;
  /** Title of the document, where documents are known. */
  readonly document: string | null;
  /** The words in front of it. */
  readonly before: string;
  /** The tokens. */
  readonly tokens: readonly PassageToken[];
}

/** How the text falls into documents, and what the neighbours did for each. */
export interface DocumentStatistics {
  /** How the documents were found: by headings as in WikiText, by blank lines, or equal parts of one long text. */
  readonly rule: 'headings' | 'blank lines' | 'parts';
  /** How many there are. */
  readonly count: number;
  /** Documents of a group; 1 where there are few enough to keep them apart. */
  readonly groupSize: number;
  /** All groups if there are few; otherwise those with the highest and the lowest gain per token. */
  readonly shown: readonly TokenGroup[];
  /** Whether `shown` is all of them. */
  readonly complete: boolean;
  /** How many groups there are at each gain, in bits per token. */
  readonly gains: readonly HistogramBin[];
}

/** A table of facts about the run. */
export interface FactTable {
  /** Heading. */
  readonly title: string;
  /** Names and values. */
  readonly rows: readonly (readonly [name: string, value: string])[];
}

/** What was run, and with what; so that it can be run again. */
export interface RunFacts {
  /** The text, in a few words: its folder and split. */
  readonly text: string;
  /** When it was evaluated, ISO 8601. */
  readonly date: string;
  /** The command line. */
  readonly command: string;
  /** Settings, versions, fingerprints, times, sizes. */
  readonly tables: readonly FactTable[];
}

/** The index: its measured statistics, or why there are none. */
export interface IndexFacts {
  /** Recall and list balance. */
  readonly statistics: IndexStatistics | undefined;
  /** What was left out and why. */
  readonly note: string | undefined;
}

/**
 * All that the report shows. It can be written as JSON and read back; its size does not depend on the length of the text.
 */
export interface ReportData {
  /** Version of this format. */
  readonly version: 1;
  /** All tokens. */
  readonly totals: TokenGroup;
  /** Tokens left out because a probability is 0, as in fairseq. */
  readonly excluded: number;
  /** Tokens that no neighbour has as its value. */
  readonly unseen: number;
  /** The run's own settings: k, lambda, temperature. */
  readonly settings: {
    /** Neighbours of each token. */
    readonly k: number;
    /** Weight of the neighbours; `null` where it is different for each token. */
    readonly lambda: number | null;
    /** Divisor of the squared distances. */
    readonly temperature: number;
  };
  /** By how often the token occurred in the text the dictionary was made from. */
  readonly byFrequency: readonly TokenGroup[];
  /** By the language model's own probability. */
  readonly byLmProbability: readonly TokenGroup[];
  /** By p_kNN, the neighbours' probability. */
  readonly byKnnProbability: readonly TokenGroup[];
  /** By the squared distance of the nearest neighbour, in classes of about equally many tokens. */
  readonly byDistance: readonly TokenGroup[];
  /** By the position in the block of text that is scored together. */
  readonly byBlockPosition: readonly TokenGroup[];
  /** By the position in the document. */
  readonly byDocumentPosition: readonly TokenGroup[];
  /** By document. */
  readonly documents: DocumentStatistics;
  /** The words that gain and lose most bits in all. */
  readonly words: {
    /** Most bits saved first. */
    readonly helped: readonly TokenGroup[];
    /** Most bits lost first. */
    readonly hurt: readonly TokenGroup[];
  };
  /** How many tokens there are at each gain, in bits. */
  readonly gains: readonly HistogramBin[];
  /** Squared distances of the nearest and the farthest neighbour. */
  readonly distances: {
    /** Of the nearest neighbour of each token. */
    readonly nearest: readonly HistogramBin[];
    /** Of its farthest. */
    readonly farthest: readonly HistogramBin[];
    /** Tokens for which the search found no neighbour. */
    readonly none: number;
  };
  /** Other settings. */
  readonly grid: SettingsGrid;
  /** Passages to read. */
  readonly passages: readonly Passage[];
  /** The index. */
  readonly index: IndexFacts;
  /** The run. */
  readonly run: RunFacts;
}
