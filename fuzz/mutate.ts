import type { SeededRandom } from "@waybill/testing";

const MUTATIONS_MAX = 6;
const SLICE_MAX = 40;
const INTERESTING = [
  0, 1, 9, 10, 13, 0x20, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xc0, 0xed, 0xf4, 0xff,
];

/** A damaged copy: bits turned, bytes replaced, slices removed, doubled, moved, words of the dictionary and pieces of other inputs put in. */
export function mutate(random: SeededRandom, corpus: readonly Uint8Array[], dictionary: readonly string[]): Buffer {
  let bytes: Buffer = Buffer.from(pick(random, corpus));
  const mutations = 1 + below(random, MUTATIONS_MAX);
  for (let number = 0; number < mutations; number++) bytes = mutateOnce(random, bytes, corpus, dictionary);
  return bytes;
}

function mutateOnce(
  random: SeededRandom,
  bytes: Buffer,
  corpus: readonly Uint8Array[],
  dictionary: readonly string[],
): Buffer {
  const at = below(random, bytes.length + 1);
  const length = 1 + below(random, SLICE_MAX);
  const put = (piece: Uint8Array): Buffer => Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
  switch (below(random, 8)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << below(random, 8));
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = pick(random, INTERESTING);
      return bytes;
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 3:
      return put(bytes.subarray(at, at + length));
    case 4:
      return put(Buffer.from(pick(random, dictionary)));
    case 5: {
      const other = pick(random, corpus);
      const from = below(random, other.length + 1);
      return put(other.subarray(from, from + length));
    }
    case 6:
      return bytes.subarray(0, at);
    default:
      // Depth and repetition.
      return put(Buffer.from(pick(random, dictionary).repeat(1 + below(random, 300))));
  }
}

function below(random: SeededRandom, limit: number): number {
  return Math.floor(random.next() * limit);
}

function pick<T>(random: SeededRandom, list: readonly T[]): T {
  return list[below(random, list.length)] as T;
}
