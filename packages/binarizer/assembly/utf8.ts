// Characters above ASCII: well-formed sequences, and Python's white space among them.

/**
 * Length of the UTF-8 sequence that begins with a byte of 0x80 or above, as strict as Python (no overlong forms, no
 * surrogates, nothing above U+10FFFF).
 *
 * @returns 2 to 4; 0 when it goes on beyond `end`; -1 when it is not UTF-8
 */
export function sequenceLength(position: usize, end: usize): i32 {
  const lead: u32 = load<u8>(position);
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (position + 1 >= end) return 0;
  const second: u32 = load<u8>(position, 1);
  const low: u32 = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const high: u32 = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return -1;
  for (let i: usize = 2; i < (length as usize); i++) {
    if (position + i >= end) return 0;
    if ((load<u8>(position + i) & 0xc0) != 0x80) return -1;
  }
  return length;
}

/** Whether a well-formed sequence is one of the 19 characters above ASCII that Python's `\s` matches. */
export function isSpaceSequence(position: usize): bool {
  const lead: u32 = load<u8>(position);
  if (lead == 0xc2) {
    const second: u32 = load<u8>(position, 1);
    return second == 0x85 || second == 0xa0; // U+0085, U+00A0
  }
  if (lead < 0xe1 || lead > 0xe3) return false;
  const others = ((load<u8>(position, 1) as u32) << 8) | (load<u8>(position, 2) as u32);
  if (lead == 0xe1) return others == 0x9a80; // U+1680
  if (lead == 0xe3) return others == 0x8080; // U+3000
  if (others >= 0x8080 && others <= 0x808a) return true; // U+2000 to U+200A
  return others == 0x80a8 || others == 0x80a9 || others == 0x80af || others == 0x819f; // U+2028, 2029, 202F, 205F
}
