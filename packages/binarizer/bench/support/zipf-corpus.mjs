// A text with the statistics of English, made of nothing: the same bytes for the same arguments on every machine.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';

const ALPHABET = 'etaoinshrdlucmfwypvbgkjqxz';
const ACCENTED = 'éüßñжλ漢';
/** WikiText-103 has 60 tokens in a line, blank lines included. */
const LONGEST_LINE = 120;

/** xorshift32: quick, and whole numbers on every engine. */
function randomSource(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Different words; the frequent ones are short, and about one in 64 has a letter beyond ASCII. */
function makeWords(count, random) {
  const words = new Set();
  while (words.size < count) {
    const length = 1 + Math.floor((Math.log2(words.size + 2) / 2) * (0.6 + 0.8 * random()));
    let word = '';
    // Letters as unequal as in English.
    for (let i = 0; i < length; i++) word += ALPHABET[Math.floor(26 * random() * random())];
    if (random() < 1 / 64) word += ACCENTED[Math.floor(ACCENTED.length * random())];
    words.add(words.has(word) ? `${word}${ALPHABET[Math.floor(26 * random())]}${words.size % 97}` : word);
  }
  return [...words];
}

/** Walker's alias method for Zipf's law: the probability of a rank is proportional to 1 / rank. */
function zipfSampler(count, random) {
  const weights = Float64Array.from({ length: count }, (_, i) => 1 / (i + 1));
  const sum = weights.reduce((a, b) => a + b);
  const share = weights.map((weight) => (weight * count) / sum);
  const alias = new Int32Array(count);
  const small = [];
  const large = [];
  share.forEach((value, i) => (value < 1 ? small : large).push(i));
  while (small.length > 0 && large.length > 0) {
    const [low, high] = [small.pop(), large.pop()];
    alias[low] = high;
    share[high] -= 1 - share[low];
    (share[high] < 1 ? small : large).push(high);
  }
  for (const rest of [...small, ...large]) share[rest] = 1;
  return () => {
    const place = random() * count;
    const column = Math.floor(place);
    return place - column < share[column] ? column : alias[column];
  };
}

/**
 * Writes a text whose words follow Zipf's law, in lines like WikiText's (a space before and after each word's).
 *
 * @param {string} path where to
 * @param {number} tokenCount words and line ends
 * @param {number} vocabularySize different words to draw from
 */
export async function writeZipfCorpus(path, tokenCount, vocabularySize) {
  const random = randomSource(42);
  const words = makeWords(vocabularySize, random);
  const sample = zipfSampler(vocabularySize, random);
  const file = createWriteStream(path);
  let text = '';
  for (let left = tokenCount; left > 0;) {
    const wordsInLine = Math.min(left - 1, Math.floor(LONGEST_LINE * random()));
    for (let i = 0; i < wordsInLine; i++) text += ` ${words[sample()]}`;
    text += ' \n';
    left -= wordsInLine + 1;
    if (text.length < 2 ** 20) continue;
    if (!file.write(text)) await once(file, 'drain');
    text = '';
  }
  file.end(text);
  await once(file, 'finish');
}
