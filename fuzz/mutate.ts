import type { SeededRandom } from "@waybill/testing";
import { WORDS } from "./dictionary.ts";

const MUTATIONS_MAX = 6;
const SLICE_MAX = 40;
const INTERESTING = [
  0, 1, 9, 10, 13, 0x20, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xc0, 0xed, 0xf4, 0xff,
];

/**
 * A damaged copy: bits turned, bytes replaced, slices removed, doubled, moved, words of the
 * dictionaries and pieces of other inputs put in.
 */
export function mutate(random: SeededRandom, corpus: readonly Uint8Array[], dictionary: readonly string[]): Buffer {
  return damage(random, Buffer.from(random.pick(corpus)), corpus, dictionary);
}

/** `bytes` are changed in place as well. */
export function damage(
  random: SeededRandom,
  bytes: Buffer,
  corpus: readonly Uint8Array[],
  dictionary: readonly string[],
): Buffer {
  let damaged = bytes;
  const mutations = 1 + random.below(MUTATIONS_MAX);
  const words = random.chance(0.3) ? WORDS : dictionary;
  for (let number = 0; number < mutations; number++) damaged = mutateOnce(random, damaged, corpus, words);
  return damaged;
}

function mutateOnce(
  random: SeededRandom,
  bytes: Buffer,
  corpus: readonly Uint8Array[],
  dictionary: readonly string[],
): Buffer {
  const at = random.below(bytes.length + 1);
  const length = 1 + random.below(SLICE_MAX);
  const put = (piece: Uint8Array): Buffer => Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
  switch (random.below(8)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random.pick(INTERESTING);
      return bytes;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 3:
      return put(bytes.subarray(at, at + length));
    case 4:
      return put(Buffer.from(random.pick(dictionary)));
    case 5: {
      const other = corpus.length === 0 ? bytes : random.pick(corpus);
      const from = random.below(other.length + 1);
      return put(other.subarray(from, from + length));
    }
    case 6:
      return bytes.subarray(0, at);
    default:
      // Depth and repetition.
      return put(Buffer.from(random.pick(dictionary).repeat(1 + random.below(300))));
  }
}
