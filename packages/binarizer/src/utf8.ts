import { BinarizerError } from './errors.js';

/**
 * Length of the UTF-8 sequence that begins with a byte of 0x80 or above, checked as strictly as Python does (no overlong
 * forms, no surrogates, nothing above U+10FFFF).
 *
 * @param bytes - the text
 * @param position - where the sequence begins
 * @param end - where the known bytes end
 * @returns 2 to 4; 0 when the sequence is right so far but goes on beyond `end`; -1 when it is not UTF-8
 */
export function sequenceLength(bytes: Uint8Array, position: number, end: number): number {
  const lead = bytes[position];
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (position + 1 >= end) return 0;
  const second = bytes[position + 1];
  // The second byte's range is narrower after these leads: overlong forms, surrogates, beyond U+10FFFF.
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return -1;
  for (let next = position + 2; next < position + length; next++) {
    if (next >= end) return 0;
    if ((bytes[next] & 0xc0) !== 0x80) return -1;
  }
  return length;
}

/**
 * First byte that does not belong to well-formed UTF-8.
 *
 * @param bytes - the text
 * @returns its offset, or -1 when all is well
 */
export function findInvalidUtf8(bytes: Uint8Array): number {
  let position = 0;
  while (position < bytes.length) {
    if (bytes[position] < 0x80) {
      position++;
      continue;
    }
    const length = sequenceLength(bytes, position, bytes.length);
    if (length <= 0) return position;
    position += length;
  }
  return -1;
}

/** The error for bytes that are not UTF-8; Python's strict decoding fails on the same ones. */
export function notUtf8(path: string, byteOffset: number, byte: number): BinarizerError {
  const found = `0x${byte.toString(16).padStart(2, '0')}`;
  return new BinarizerError('TEXT_NOT_UTF8', `${path}: not UTF-8 at byte ${byteOffset} (found ${found})`, {
    hint: 'Convert the file to UTF-8 (iconv -f … -t UTF-8), or remove the damaged bytes.',
    details: { path, byteOffset, found, expected: 'UTF-8' },
  });
}
