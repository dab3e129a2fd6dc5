import type { Progress } from '@knn-lm/common';
import { writeAll } from './log.js';

/** How progress is shown: a bar on a terminal, plain lines elsewhere, JSON lines, or not at all. */
export type ProgressStyle = 'bar' | 'lines' | 'json' | 'none';

/** fairseq's flags decide together with the terminal. */
export function progressStyle(flags: { noProgressBar: boolean; logFormat: string | null }): ProgressStyle {
  if (flags.logFormat === 'none' || flags.logFormat === 'json') return flags.logFormat;
  const bar = process.stderr.isTTY === true && !flags.noProgressBar && flags.logFormat !== 'simple';
  return bar ? 'bar' : 'lines';
}

/** Between two plain lines, in milliseconds: a log of days stays readable. */
const lineIntervalMs = 10_000;
/** Between two redraws of the bar, in milliseconds. */
const barIntervalMs = 100;
/** The rate is that of the last so many milliseconds, so that the ETA follows the machine. */
const rateWindowMs = 30_000;

/** Shows how far a command is, with rate and estimated time of arrival, on standard error. */
export class ProgressReporter {
  readonly #style: ProgressStyle;
  #stage = '';
  #samples: { timeMs: number; done: number }[] = [];
  #shownMs = 0;
  #barIsOpen = false;

  /** @param style - how to show it */
  constructor(style: ProgressStyle) {
    this.#style = style;
  }

  /** The function to hand to a library. */
  readonly report = (progress: Progress): void => {
    if (this.#style === 'none') return;
    const nowMs = performance.now();
    if (progress.stage !== this.#stage) this.#begin(progress, nowMs);
    if (this.#samples.length === 0 || nowMs - this.#samples[this.#samples.length - 1].timeMs > 250) {
      this.#samples.push({ timeMs: nowMs, done: progress.done });
      while (this.#samples.length > 2 && nowMs - this.#samples[1].timeMs > rateWindowMs)
        this.#samples.shift();
    }
    const interval = this.#style === 'bar' ? barIntervalMs : lineIntervalMs;
    const isLast = progress.done === progress.total;
    if (nowMs - this.#shownMs < interval && !(isLast && this.#style === 'bar')) return;
    this.#shownMs = nowMs;
    this.#show(progress, nowMs);
  };

  /** Ends the bar's line; call before anything else is printed. */
  close(): void {
    if (this.#barIsOpen) writeAll(2, '\r\x1b[K');
    this.#barIsOpen = false;
    this.#stage = '';
  }

  #begin(progress: Progress, nowMs: number): void {
    this.close();
    this.#stage = progress.stage;
    this.#samples = [{ timeMs: nowMs, done: progress.done }];
    this.#shownMs = nowMs;
  }

  #show(progress: Progress, nowMs: number): void {
    const first = this.#samples[0];
    const seconds = (nowMs - first.timeMs) / 1000;
    const rate = seconds > 0 ? (progress.done - first.done) / seconds : 0;
    if (this.#style === 'json') {
      writeAll(2, `${JSON.stringify({ ...progress, perSecond: Math.round(rate) })}\n`);
    } else if (this.#style === 'lines') {
      writeAll(2, `${describeProgress(progress, rate)}\n`);
    } else {
      writeAll(2, `\r\x1b[K${bar(progress)}${describeProgress(progress, rate)}`);
      this.#barIsOpen = true;
    }
  }
}

function bar({ done, total }: Progress): string {
  if (total === undefined || total === 0) return '';
  const width = 24;
  const filled = Math.min(width, Math.floor((width * done) / total));
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} `;
}

/** `keys: 12,345 of 367,366 tokens (3 %), 5,432 tokens/s, 65 s left`. */
export function describeProgress(progress: Progress, rate: number): string {
  const { stage, done, total, unit } = progress;
  const count = total === undefined ? number(done) : `${number(done)} of ${number(total)}`;
  const share = total === undefined || total === 0 ? '' : ` (${Math.floor((100 * done) / total)} %)`;
  const speed = rate > 0 ? `, ${number(rate)} ${unit}/s` : '';
  const left = rate > 0 && total !== undefined ? `, ${duration((total - done) / rate)} left` : '';
  return `${stage}: ${count} ${unit}${share}${speed}${left}`;
}

function number(value: number): string {
  return value < 10 ? String(Math.round(value * 10) / 10) : Math.round(value).toLocaleString('en-US');
}

/** `45 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  if (s < 86_400)
    return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, '0')} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}
