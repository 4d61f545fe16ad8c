/**
 * What a measured event carries, so that a vendor's stand-in knows it again without reading JSON:
 * `"mark":"e-UUUUU-OOOOOOOO-MMMMMMMMMMMMM-K"` with the number of its user, its ordinal among all
 * events, when it was sent (epoch ms, 0 when that does not matter) and its kind. Of fixed length,
 * found by a search for its first bytes.
 */

/**
 * `n`: of a user all of whose events are fine; `s`: fine, of a user who may have a poisonous one;
 * `p`: poisonous.
 */
export type MarkKind = "n" | "s" | "p";

export interface Mark {
  /** From 0. */
  readonly user: number;
  /** From 0. Those of one user are in the order in which they have to arrive. */
  readonly ordinal: number;
  /** Default 0. */
  readonly sentAtMs?: number;
  /** Default `n`. */
  readonly kind?: MarkKind;
}

export const USERS_MAX = 100_000;

const FRONT: Buffer = Buffer.from('"mark":"e-');
const USER_DIGITS = 5;
const ORDINAL_DIGITS = 8;
const TIME_DIGITS = 13;
const ORDINAL_AT: number = USER_DIGITS + 1;
const TIME_AT: number = ORDINAL_AT + ORDINAL_DIGITS + 1;
const KIND_AT: number = TIME_AT + TIME_DIGITS + 1;
const DIGIT_0 = 0x30;
/** As many as the largest request of a vendor has. */
const ROOM = 16_384;
/** The codes that {@link Marks.kinds} has. */
export const NORMAL: number = "n".charCodeAt(0);
const POISONOUS: number = "p".charCodeAt(0);

/** The member of an event that marks it, as text. */
export function markMember({ user, ordinal, sentAtMs = 0, kind = "n" }: Mark): string {
  return `"mark":"e-${digits(user, USER_DIGITS)}-${digits(ordinal, ORDINAL_DIGITS)}-${digits(sentAtMs, TIME_DIGITS)}-${kind}"`;
}

function digits(value: number, length: number): string {
  return String(value).padStart(length, "0");
}

/** The marks of one request at a time: its arrays are used again for the next one. */
export class Marks {
  count = 0;
  /** How many of them are poisonous. */
  poisonous = 0;
  users: Int32Array = new Int32Array(ROOM);
  ordinals: Int32Array = new Int32Array(ROOM);
  sentAtMs: Float64Array = new Float64Array(ROOM);
  kinds: Uint8Array = new Uint8Array(ROOM);

  read(body: Buffer): void {
    let count = 0;
    let poisonous = 0;
    for (let at = body.indexOf(FRONT); at >= 0; at = body.indexOf(FRONT, at + KIND_AT)) {
      if (count === this.users.length) this.#grow();
      const start = at + FRONT.length;
      this.users[count] = numberAt(body, start, USER_DIGITS);
      this.ordinals[count] = numberAt(body, start + ORDINAL_AT, ORDINAL_DIGITS);
      this.sentAtMs[count] = numberAt(body, start + TIME_AT, TIME_DIGITS);
      const kind = body[start + KIND_AT] ?? 0;
      this.kinds[count] = kind;
      if (kind === POISONOUS) poisonous += 1;
      count += 1;
    }
    this.count = count;
    this.poisonous = poisonous;
  }

  #grow(): void {
    const room = 2 * this.users.length;
    this.users = grown(this.users, new Int32Array(room));
    this.ordinals = grown(this.ordinals, new Int32Array(room));
    this.sentAtMs = grown(this.sentAtMs, new Float64Array(room));
    this.kinds = grown(this.kinds, new Uint8Array(room));
  }
}

/** Steps and factors of the end of MurmurHash3, which spread the bits of a number over all 32. */
const FACTORS = [0x85_eb_ca_6b, 0xc2_b2_ae_35] as const;
const SHIFTS = [16, 13, 16] as const;

/**
 * A number of 32 bits that looks random, to choose users by. Users who took turns would never meet
 * themselves among the requests in flight, and no disorder would show.
 */
export function mixed(number: number): number {
  const first = Math.imul(number ^ (number >>> SHIFTS[0]), FACTORS[0]);
  const second = Math.imul(first ^ (first >>> SHIFTS[1]), FACTORS[1]);
  return (second ^ (second >>> SHIFTS[2])) >>> 0;
}

/** `to` with what `from` has at its front. */
export function grown<Numbers extends Int32Array | Float64Array | Uint8Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}

function numberAt(bytes: Uint8Array, start: number, length: number): number {
  let value = 0;
  for (let at = start; at < start + length; at++) value = 10 * value + (bytes[at] as number) - DIGIT_0;
  return value;
}

/** The kind in the mark of an event's text. */
export function kindIn(text: string): string | undefined {
  return /"mark":"e-[\d-]+-([nsp])"/.exec(text)?.[1];
}
