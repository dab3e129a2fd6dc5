import { createHash } from 'node:crypto';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { makeReport } from '../../test/support/reports.js';
import { hostileWords } from '../../test/support/synthetic.js';
import { renderReport } from './render-report.js';

const data = makeReport();
const page = renderReport(data);
const { document } = parseHTML(page);

function sha256(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

describe('renderReport', () => {
  it('allows its own style sheet and script by their hashes, and nothing else', () => {
    const policy = document.querySelector('meta[http-equiv]')?.getAttribute('content') ?? '';
    const parts = new Map(policy.split('; ').map((part) => [part.split(' ')[0], part.split(' ').slice(1)]));
    expect(parts.get('default-src')).toEqual(["'none'"]);
    const [styles, scripts] = ['style', 'script:not([type])'].map((of) => [...document.querySelectorAll(of)]);
    expect(parts.get('style-src')).toEqual(styles.map((style) => sha256(style.textContent)));
    expect(parts.get('script-src')).toEqual(scripts.map((script) => sha256(script.textContent)));
    expect(document.querySelectorAll('[style],[onclick],[onload]')).toHaveLength(0);
  });

  it('refers to nothing outside itself', () => {
    for (const name of ['src', 'href', 'srcset', 'data', 'action', 'poster', 'xlink:href']) {
      for (const part of document.querySelectorAll('*')) {
        const value = part.getAttribute(name);
        if (value !== null) expect([name, value]).toEqual([name, expect.stringMatching(/^#/)]);
      }
    }
    expect(document.querySelector('style')?.textContent).not.toMatch(/url\(|@import/);
  });

  it('shows hostile words as text', () => {
    const json = document.getElementById('passage-data')?.textContent ?? '';
    const words = [...document.querySelectorAll('button.token')].map((token) => token.textContent);
    const used = hostileWords.filter((word) => words.includes(word));
    expect(used).toContain(hostileWords[0]);
    expect(document.querySelectorAll('script')).toHaveLength(2);
    expect(document.querySelectorAll('img')).toHaveLength(0);
    expect(json).not.toMatch(/<\/?script|<!--/);
    const passages = JSON.parse(json) as unknown[];
    expect(passages).toHaveLength(data.passages.length);
    expect(document.querySelector('#run pre')?.textContent).toBe(data.run.command);
  });

  it('has a heading, an accessible name and a table of numbers for every chart', () => {
    const figures = [...document.querySelectorAll('figure')].filter((part) => part.querySelector('svg'));
    expect(figures.length).toBeGreaterThanOrEqual(11);
    for (const part of figures) {
      const heading = document.getElementById(part.getAttribute('aria-labelledby') ?? '');
      expect(heading?.tagName).toBe('H3');
      for (const chart of part.querySelectorAll('svg')) {
        expect(chart.getAttribute('role')).toBe('img');
        expect(chart.getAttribute('aria-label')?.length).toBeGreaterThan(20);
      }
      expect(part.querySelectorAll('details td').length).toBeGreaterThan(2);
    }
    const ids = [...document.querySelectorAll('[id]')].map((part) => part.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('writes labels in charts unchanged', () => {
    expect(document.querySelector('#by-lm svg')?.textContent).toContain('0.001 to 0.01');
  });

  it('is the same page every time', () => {
    expect(renderReport(data) === page).toBe(true);
  });

  it('does without index, passages, grid lines of its own settings and documents', () => {
    const { totals } = data;
    const small = renderReport({
      ...data,
      passages: [],
      index: { statistics: undefined, note: 'Recall was not measured: <the keys are not open>.' },
      byDistance: [],
      distances: { nearest: [], farthest: [], none: totals.tokens },
      settings: { ...data.settings, lambda: null },
      grid: { ...data.grid, chosenByK: [] },
      words: { helped: [], hurt: [] },
    });
    expect(small.includes('Recall was not measured: &lt;the keys are not open&gt;.')).toBe(true);
    expect(small.includes('id="passages"')).toBe(false);
    const visible = small.replaceAll(/<script[^]*?<\/script>/g, '');
    expect(/NaN|undefined|Infinity/.exec(visible)?.[0]).toBeUndefined();
    const exact = {
      ...data.index.statistics!,
      lists: undefined,
      recall: [{ nprobe: undefined, recalls: [[1, 1] as const], millisecondsPerQuery: 1 }],
    };
    const flat = renderReport({ ...data, index: { statistics: exact, note: undefined } });
    expect(flat.includes('The index has no lists')).toBe(true);
  });
});
