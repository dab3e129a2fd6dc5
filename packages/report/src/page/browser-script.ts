import type { ClientNeighbor, ClientPassage, ClientToken } from './client-data.js';

/**
 * The page's script: passages one at a time, arrow keys within a passage, the neighbours of the chosen token. It is put
 * into the page as text (`Function.prototype.toString`), so it must not use anything from outside itself.
 */
export function browserScript(): void {
  const source = document.getElementById('passage-data');
  const choice = document.getElementById('passage-choice');
  const panel = document.getElementById('neighbors');
  if (source === null || panel === null || !(choice instanceof HTMLSelectElement)) return;
  const data = JSON.parse(source.textContent ?? '[]') as ClientPassage[];
  const passages = Array.from(document.querySelectorAll<HTMLElement>('.passage'));
  let chosen: HTMLElement | undefined;
  document.documentElement.classList.add('script');

  function element(name: string, text = '', className = ''): HTMLElement {
    const made = document.createElement(name);
    made.textContent = text;
    if (className !== '') made.className = className;
    return made;
  }

  function probability(value: number): string {
    return value >= 0.001 || value === 0 ? value.toFixed(3) : String(Number(value.toPrecision(2)));
  }

  function tokensOf(passage: HTMLElement): HTMLElement[] {
    return Array.from(passage.querySelectorAll<HTMLElement>('button.token'));
  }

  function facts([lm, knn, mixed, gain]: ClientToken): HTMLElement {
    const list = element('dl', '', 'probabilities');
    const sign = gain < 0 ? '−' : '+';
    const rows = [
      ['Model alone', probability(lm)],
      ['Neighbours', probability(knn)],
      ['Mixture', probability(mixed)],
      ['Gain', `${sign}${Math.abs(gain).toFixed(2)} bits`],
    ];
    for (const [name, value] of rows) {
      const row = element('div');
      row.append(element('dt', name), element('dd', value));
      list.append(row);
    }
    return list;
  }

  function neighborItem(
    [row, distance, share, word, before, after]: ClientNeighbor,
    target: string,
  ): HTMLElement {
    const item = element('li', '', word === target ? 'same' : '');
    const context = element('p', '', 'context');
    context.append(
      element('span', `${before} `, 'around'),
      element('mark', word),
      element('span', ` ${after}`, 'around'),
    );
    const verdict = word === target ? 'the right word, ' : '';
    const where = `${verdict}distance ${distance}, ${(100 * share).toFixed(1)} % of the weight, entry ${row.toLocaleString('en-US')}`;
    item.append(context, element('p', where, 'facts'));
    return item;
  }

  function show(token: HTMLElement): void {
    const passage = passages.findIndex((candidate) => candidate.contains(token));
    const facing = data[passage]?.[tokensOf(passages[passage]).indexOf(token)];
    if (panel === null || facing === undefined) return;
    chosen?.removeAttribute('aria-current');
    chosen = token;
    token.setAttribute('aria-current', 'true');
    const word = token.textContent ?? '';
    const [, , , , predictions, neighbors] = facing;
    const title = element('h4', `“${word}”`);
    const close = element('button', 'Back to the text', 'back');
    close.setAttribute('type', 'button');
    close.addEventListener('click', () => token.focus());
    const said = predictions.map(([value, share]) => `${value} ${(100 * share).toFixed(1)} %`).join(', ');
    const list = element('ol');
    list.append(...neighbors.map((neighbor) => neighborItem(neighbor, word)));
    panel.replaceChildren(title, facts(facing));
    panel.append(element('p', said === '' ? 'No neighbour was found.' : `The neighbours predict: ${said}.`));
    if (neighbors.length > 0)
      panel.append(element('h5', `Nearest ${neighbors.length} of the neighbours`), list);
    panel.append(close);
    panel.scrollTop = 0;
  }

  function moveTo(passage: HTMLElement, token: HTMLElement | undefined): void {
    if (token === undefined) return;
    for (const other of tokensOf(passage)) other.tabIndex = other === token ? 0 : -1;
    token.focus();
  }

  /** The token above or below: on the next line, nearest from left to right. */
  function across(tokens: HTMLElement[], from: HTMLElement, direction: 1 | -1): HTMLElement | undefined {
    const here = from.getBoundingClientRect();
    const middle = here.left + here.width / 2;
    let best: HTMLElement | undefined;
    let bestScore = Infinity;
    for (const token of tokens) {
      const box = token.getBoundingClientRect();
      const lines = (box.top - here.top) * direction;
      if (lines < here.height / 2) continue;
      const score = lines * 10_000 + Math.abs(box.left + box.width / 2 - middle);
      if (score < bestScore) {
        best = token;
        bestScore = score;
      }
    }
    return best;
  }

  function onKey(event: KeyboardEvent, passage: HTMLElement): void {
    const token = event.target;
    if (!(token instanceof HTMLElement) || event.altKey || event.ctrlKey || event.metaKey) return;
    const tokens = tokensOf(passage);
    const at = tokens.indexOf(token);
    if (at < 0) return;
    const goals: Record<string, () => HTMLElement | undefined> = {
      ArrowLeft: () => tokens[at - 1],
      ArrowRight: () => tokens[at + 1],
      ArrowUp: () => across(tokens, token, -1),
      ArrowDown: () => across(tokens, token, 1),
      Home: () => tokens[0],
      End: () => tokens[tokens.length - 1],
    };
    const goal = goals[event.key];
    if (goal === undefined) return;
    event.preventDefault();
    moveTo(passage, goal());
  }

  function choose(index: number): void {
    for (const [i, passage] of passages.entries()) passage.hidden = i !== index;
    chosen?.removeAttribute('aria-current');
    chosen = undefined;
    panel?.replaceChildren(element('p', 'No token is chosen.', 'empty'));
  }

  for (const passage of passages) {
    passage.addEventListener('keydown', (event) => onKey(event, passage));
    passage.addEventListener('click', (event) => {
      const token =
        event.target instanceof Element ? event.target.closest<HTMLElement>('button.token') : null;
      if (token === null) return;
      for (const other of tokensOf(passage)) other.tabIndex = other === token ? 0 : -1;
      show(token);
      // A click by keyboard or screen reader has no coordinates: the reader is taken to the neighbours.
      if (event.detail === 0) panel.focus();
    });
  }
  panel.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') chosen?.focus();
  });
  choice.addEventListener('change', () => choose(Number(choice.value)));
  choose(Number(choice.value) || 0);
}
