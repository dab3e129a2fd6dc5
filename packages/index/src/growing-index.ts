import type { EngineIndex } from './engine.js';

/** An index that keys are added to, and that is saved from time to time so that an interrupted build goes on. */
export interface GrowingIndex {
  /** What keys are added to. */
  readonly index: EngineIndex;
  /** The row of the datastore that is to be added next. */
  readonly nextRow: number;
  /** Rows that had been added when it was opened. */
  readonly resumedRows: number;
  /** Rows that are saved. */
  readonly savedRows: number;
  /** Whether memory is as full as it may be, so that it has to be saved now. */
  readonly isFull: boolean;
  /** Saves what was added; killed at any moment, this or what was saved before remains. */
  save(): Promise<void>;
  /** Gives the complete index its final name, with its record. */
  finish(): Promise<void>;
}
