import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderReport } from '../src/index.js';
import { chromiumPath, startChromium } from './support/chromium.js';
import { makeReport } from './support/reports.js';
import { hostileWords } from './support/synthetic.js';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const phone = { width: 360, height: 740 };
const desktop = { width: 1280, height: 900 };

const reason =
  chromiumPath === undefined ? ' (skipped: no chromium here; Debian: apt-get install chromium)' : '';

describe.skipIf(chromiumPath === undefined)(`the page in a browser${reason}`, () => {
  let browser: Browser;
  let folder: string;
  let url: string;
  const report = makeReport({ perKind: 2 });

  beforeAll(async () => {
    browser = await startChromium();
    folder = await mkdtemp(join(tmpdir(), 'knn-lm-report-'));
    await writeFile(join(folder, 'report.html'), renderReport(report));
    url = pathToFileURL(join(folder, 'report.html')).href;
  });

  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens the page, lets a test use it, and checks that nothing was logged, asked of a network or broken. */
  async function withPage(options: BrowserContextOptions, use: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const trouble: string[] = [];
    page.on('console', (message) => trouble.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => trouble.push(`error: ${error.message}`));
    page.on('dialog', (dialog) => trouble.push(`dialog: ${dialog.message()}`));
    page.on('request', (request) => {
      if (request.url() !== url) trouble.push(`request: ${request.url()}`);
    });
    await page.goto(url);
    await use(page);
    expect(trouble).toEqual([]);
    await context.close();
  }

  async function accessibilityProblems(page: Page): Promise<string[]> {
    await page.evaluate(axeSource);
    const results = await page.evaluate(() =>
      (globalThis as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
    );
    expect(results.passes.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['color-contrast', 'heading-order', 'region', 'button-name', 'svg-img-alt']),
    );
    return results.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`);
  }

  it('is accessible in light and in dark mode, on a phone and on a desktop', async () => {
    for (const [viewport, colorScheme] of [
      [phone, 'light'],
      [desktop, 'dark'],
    ] as const) {
      await withPage({ viewport, colorScheme, reducedMotion: 'reduce' }, async (page) => {
        for (const summary of await page.locator('summary').all()) await summary.click();
        await page.locator('#passage-0 button.token').nth(3).click();
        expect(await accessibilityProblems(page)).toEqual([]);
      });
    }
  });

  it('fits a phone without scrolling sideways, also with every table open', async () => {
    await withPage({ viewport: phone }, async (page) => {
      for (const summary of await page.locator('summary').all()) await summary.click();
      const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(await overflow()).toBe(0);
      await page.setViewportSize({ width: 320, height: 600 });
      expect(await overflow()).toBe(0);
      expect(await page.locator('svg.narrow').first().isVisible()).toBe(true);
      expect(await page.locator('svg.wide').first().isVisible()).toBe(false);
    });
  });

  it('shows the neighbours of a token that is clicked', async () => {
    await withPage({ viewport: desktop }, async (page) => {
      const { word, predictions, neighbors } = report.passages[0].tokens[5];
      await page.locator('#passage-0 button.token').nth(5).click();
      const panel = page.locator('#neighbors');
      expect(await panel.locator('h4').textContent()).toBe(`“${word}”`);
      expect(await panel.locator('li').count()).toBe(neighbors.length);
      expect(await panel.textContent()).toContain(`The neighbours predict: ${predictions[0].word}`);
      expect(await panel.locator('li').first().textContent()).toContain(neighbors[0].before);
      expect(await page.locator('[aria-current]').count()).toBe(1);
    });
  });

  it('can be read with the keyboard: to a passage, a token, its neighbours, and back', async () => {
    await withPage({ viewport: desktop, reducedMotion: 'reduce' }, async (page) => {
      const focused = () => page.evaluate(() => document.activeElement?.textContent);
      await page.keyboard.press('Tab');
      expect(await focused()).toBe('Skip to the report');
      await page.locator('#passage-choice').focus();
      await page.keyboard.press('Tab');
      const tokens = await page.locator('#passage-0 button.token').allTextContents();
      expect(await focused()).toBe(tokens[0]);
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('ArrowLeft');
      expect(await focused()).toBe(tokens[1]);
      const top = () => page.evaluate(() => document.activeElement?.getBoundingClientRect().top ?? 0);
      const before = await top();
      await page.keyboard.press('ArrowDown');
      expect(await top()).toBeGreaterThan(before);
      await page.keyboard.press('ArrowUp');
      expect(Math.abs((await top()) - before)).toBeLessThan(5);
      await page.keyboard.press('End');
      expect(await focused()).toBe(tokens[tokens.length - 1]);
      await page.keyboard.press('Home');
      await page.keyboard.press('Enter');
      expect(await page.evaluate(() => document.activeElement?.id)).toBe('neighbors');
      expect(await focused()).toContain(`“${tokens[0]}”`);
      await page.keyboard.press('Escape');
      expect(await focused()).toBe(tokens[0]);
      // One stop of the Tab key in a passage of 128 tokens.
      await page.keyboard.press('Tab');
      expect(await page.evaluate(() => document.activeElement?.closest('.passage'))).toBeNull();
    });
  });

  it('shows one passage at a time', async () => {
    await withPage({ viewport: phone }, async (page) => {
      await page.locator('#passage-choice').selectOption('3');
      const visible = await page.locator('.passage:visible').evaluateAll((all) => all.map(({ id }) => id));
      expect(visible).toEqual(['passage-3']);
    });
  });

  it('shows hostile words as words', async () => {
    await withPage({ viewport: desktop }, async (page) => {
      expect(await page.title()).toBe('kNN-LM report: data-bin, split <test>');
      const token = page.locator('#passage-0 button.token', { hasText: '<' }).first();
      await token.click();
      const word = (await token.textContent()) ?? '';
      expect([...hostileWords, '</s>', '<unk>']).toContain(word);
      expect(await page.locator('#neighbors h4').textContent()).toBe(`“${word}”`);
    });
  });

  it('lets no other script run', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url);
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.injected = true';
      document.body.append(script);
      const image = document.createElement('img');
      image.setAttribute('onerror', 'window.injected = true');
      image.src = 'data:,';
      document.body.append(image);
      return new Promise((resolve) =>
        setTimeout(() => resolve((window as unknown as Record<string, unknown>)['injected'] === true), 100),
      );
    });
    expect(ran).toBe(false);
    await context.close();
  });

  it('can be read without a script', async () => {
    await withPage({ viewport: phone, javaScriptEnabled: false }, async (page) => {
      expect(await page.locator('.passage:visible').count()).toBe(report.passages.length);
      expect(await page.locator('#passage-choice').isVisible()).toBe(false);
      expect(await page.locator('noscript p').isVisible()).toBe(true);
    });
  });
});
