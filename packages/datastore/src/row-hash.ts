/**
 * Hashes rows to 53 bits: two MurmurHash3-style lanes (A. Appleby) over the 32-bit words of the key, or its 16-bit
 * elements where those are odd in number, and the value. Rows with equal hashes are compared, so that a collision costs
 * a read and nothing else.
 *
 * @param keys - `[n, dimension]`
 * @param values - `[n]`
 * @returns `[n]` whole numbers below 2^53
 */
export function hashRows(keys: Uint16Array | Float32Array, values: Int32Array): Float64Array {
  const count = values.length;
  const words =
    keys.byteLength % (4 * count) === 0
      ? new Int32Array(keys.buffer, keys.byteOffset, keys.byteLength / 4)
      : keys;
  const width = words.length / count;
  const hashes = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    let a = values[row] ^ 0x3c6ef372;
    let b = Math.imul(values[row], 0x27d4eb2f) ^ 0x1b873593;
    const end = (row + 1) * width;
    for (let i = row * width; i < end; i++) {
      const word = Math.imul(words[i], 0xcc9e2d51 | 0);
      a = Math.imul(a ^ word, 0x85ebca6b);
      a ^= a >>> 13;
      b = Math.imul(b, 5) + (word ^ (word >>> 16));
      b = (b << 13) | (b >>> 19);
    }
    hashes[row] = (finish(a) >>> 11) * 2 ** 32 + (finish(b ^ a) >>> 0);
  }
  return hashes;
}

function finish(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
