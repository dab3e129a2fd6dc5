/** How the elements of a `.bin` file are stored; the names are NumPy's. */
export type ElementName =
  'uint8' | 'int8' | 'int16' | 'int32' | 'int64' | 'float32' | 'float64' | 'uint16' | 'uint32' | 'uint64';

/** Size in bytes of an element. */
export const elementBytes: Readonly<Record<ElementName, number>> = {
  uint8: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float32: 4,
  float64: 8,
  uint16: 2,
  uint32: 4,
  uint64: 8,
};

/** Largest token id that a type holds; ids are 32-bit integers here. */
export const largestElement: Readonly<Record<ElementName, number>> = {
  uint8: 0xff,
  int8: 0x7f,
  int16: 0x7fff,
  int32: 0x7fffffff,
  int64: 0x7fffffff,
  float32: 2 ** 24,
  float64: 0x7fffffff,
  uint16: 0xffff,
  uint32: 0x7fffffff,
  uint64: 0x7fffffff,
};

/** Type codes of `.idx` files (`_code_to_dtype` in `fairseq/data/indexed_dataset.py`); index 0 is no code. */
export const elementCodes: readonly (ElementName | undefined)[] = [
  undefined,
  'uint8',
  'int8',
  'int16',
  'int32',
  'int64',
  'float64',
  'float64',
  'uint16',
  'uint32',
  'uint64',
];

/** The smallest type that fairseq uses for a vocabulary (`best_fitting_int_dtype`). */
export function elementForVocabulary(size: number): 'uint16' | 'uint32' | 'int64' {
  // 65500, not 65536: fairseq leaves a margin.
  if (size < 65_500) return 'uint16';
  return size < 4_294_967_295 ? 'uint32' : 'int64';
}

/**
 * Reads little-endian elements as token ids.
 *
 * @param bytes - whole elements
 * @param element - their type
 * @param bias - subtracted from each (1 in the older format)
 * @param target - receives the ids
 * @returns the index of the first element that is no token id (negative, fractional, above 2^31 - 1), or -1
 */
export function decodeTokens(
  bytes: Uint8Array,
  element: ElementName,
  bias: number,
  target: Int32Array,
): number {
  const source = numbersOf(bytes, element);
  if (bias === 0 && (source instanceof Uint16Array || source instanceof Uint8Array)) {
    target.set(source);
    return -1;
  }
  if (elementBytes[element] === 8 && element !== 'float64') return decodeHalves(source, bias, target);
  for (let i = 0; i < target.length; i++) {
    const id = source[i] - bias;
    if (!(id >= 0 && id <= 0x7fffffff && Number.isInteger(id))) return i;
    target[i] = id;
  }
  return -1;
}

/** 64-bit integers, as pairs of which the upper half must be 0. */
function decodeHalves(halves: ArrayLike<number>, bias: number, target: Int32Array): number {
  for (let i = 0; i < target.length; i++) {
    const id = halves[2 * i] - bias;
    if (halves[2 * i + 1] !== 0 || id < 0 || id > 0x7fffffff) return i;
    target[i] = id;
  }
  return -1;
}

const arrayTypes = {
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
  // In halves: faster than a BigInt for each.
  int64: Uint32Array,
  uint64: Uint32Array,
} as const;

/** Elements as numbers, without a copy where the alignment allows it. (Node.js and the formats are little-endian.) */
function numbersOf(bytes: Uint8Array, element: ElementName) {
  const type = arrayTypes[element];
  const aligned = bytes.byteOffset % type.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new type(
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    aligned.byteLength / type.BYTES_PER_ELEMENT,
  );
}

/**
 * Writes token ids as little-endian elements.
 *
 * @param ids - token ids
 * @param element - the type; every id must fit
 * @param bias - added to each (1 in the older format)
 * @returns the elements; a view of `ids` itself where that holds them already
 */
export function encodeTokens(ids: Int32Array, element: ElementName, bias: number): Uint8Array {
  const biased = bias === 0 ? ids : ids.map((id) => id + bias);
  const elements = elementsOf(biased, element);
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}

function elementsOf(ids: Int32Array, element: ElementName): ArrayBufferView {
  switch (element) {
    case 'uint8':
      return new Uint8Array(ids);
    case 'int8':
      return new Int8Array(ids);
    case 'int16':
      return new Int16Array(ids);
    case 'uint16':
      return new Uint16Array(ids);
    case 'int32':
    case 'uint32':
      return ids;
    case 'float32':
      return new Float32Array(ids);
    case 'float64':
      return new Float64Array(ids);
    case 'int64':
    case 'uint64': {
      // Ids are not negative: the upper halves stay 0.
      const halves = new Int32Array(ids.length * 2);
      for (let i = 0; i < ids.length; i++) halves[2 * i] = ids[i];
      return halves;
    }
  }
}
