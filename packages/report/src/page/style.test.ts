import { describe, expect, it } from 'vitest';
import { styleSheet } from './style.js';

type Colours = Record<string, string>;

function coloursOf(block: string | undefined): Colours {
  return Object.fromEntries(
    [...(block ?? '').matchAll(/--([\w-]+):(#\w{6})/g)].map(([, name, value]) => [name, value]),
  );
}

const light = coloursOf(/:root\{color-scheme[^}]*\}/.exec(styleSheet)?.[0]);
const dark = coloursOf(/prefers-color-scheme:dark\)\{:root\{[^}]*\}/.exec(styleSheet)?.[0]);

/** Relative luminance and contrast as WCAG 2.2 defines them. */
function luminance(colour: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

describe.each([
  ['light', light],
  ['dark', dark],
])('colours of %s mode', (_, colours) => {
  const gains = ['help1', 'help2', 'help3', 'hurt1', 'hurt2', 'hurt3'];
  const surfaces = Array.from({ length: 7 }, (_unused, i) => `s${i}`);

  it('are all defined', () => {
    for (const [, name] of styleSheet.matchAll(/var\(--([\w-]+)\)/g))
      expect([name, colours[name]]).not.toContain(undefined);
  });

  it('have enough contrast for text', () => {
    const pairs = [
      ...['page', 'raised'].flatMap((ground) => ['text', 'muted', 'link'].map((ink) => [ink, ground])),
      ...gains.map((ground) => ['text', ground]),
      ...surfaces.map((ground) => [`on-${ground}`, ground]),
    ];
    for (const [ink, ground] of pairs) {
      expect([ink, ground, contrast(colours[ink], colours[ground]) >= 4.5]).toEqual([ink, ground, true]);
    }
  });

  it('have enough contrast for bars, lines and marks', () => {
    for (const name of ['help', 'hurt', 'muted']) {
      expect([name, contrast(colours[name], colours['raised']) >= 3]).toEqual([name, true]);
    }
  });
});
