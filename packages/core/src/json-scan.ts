/**
 * Walks JSON in its bytes: checks the whole grammar of RFC 8259 and finds where values begin and
 * end, without building any of them. Looks at each byte once; the loops are plain because that is
 * what the compiler makes fast (`npm run bench -- relay` is what shows it).
 *
 * Positions are byte offsets. A method returns the offset after what it read, or -1 when that is
 * not JSON; `fault` then has the place and the reason. That the bytes are UTF-8 is for the caller
 * to check: platforms do it faster.
 */

export interface JsonFault {
  readonly offset: number;
  readonly reason: string;
}

/** Deeper nesting than any real event has; bounds the stack. */
const DEPTH_MAX = 256;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;

/** 1 for bytes that need no escape inside a string. */
const PLAIN = new Uint8Array(256).fill(1, SPACE);
PLAIN[QUOTE] = 0;
PLAIN[BACKSLASH] = 0;
/** 1 for what may follow a backslash; 2 for the `u` of four hex digits. */
const ESCAPE = new Uint8Array(256);
for (const character of '"\\/bfnrt') ESCAPE[character.charCodeAt(0)] = 1;
ESCAPE["u".charCodeAt(0)] = 2;
const HEX_DIGIT = new Uint8Array(256);
for (const character of "0123456789abcdefABCDEF") HEX_DIGIT[character.charCodeAt(0)] = 1;
const DIGIT = new Uint8Array(256).fill(1, 0x30, 0x3a);
const WHITE = new Uint8Array(256);
for (const character of " \t\n\r") WHITE[character.charCodeAt(0)] = 1;

const TRUE = bytesOf("true");
const FALSE = bytesOf("false");
const NULL = bytesOf("null");
/** What some clients write although it is not JSON. */
const NAN = bytesOf("NaN");
const INFINITE = bytesOf("Infinity");
const MINUS_INFINITE = bytesOf("-Infinity");

const NONE: readonly number[] = [];

/**
 * 1 where the open container is an object. One for all scanners: a walk never pauses, and a small
 * body is scanned faster than memory is got.
 */
const STACK = new Uint8Array(DEPTH_MAX);
/** Words of four bytes are looked at together once a string has gone on for this many bytes. */
const WORDS_AFTER_BYTES = 8;

export class JsonScanner {
  readonly #bytes: Uint8Array;
  /**
   * The same memory in words of four bytes, and where a byte's word is:
   * `#words[(offset + #shift) >> 2]`.
   */
  readonly #words: Int32Array;
  readonly #shift: number;
  readonly #allowNonFinite: boolean;
  #nonFinite: Int32Array | undefined;
  #nonFiniteLength = 0;
  fault: JsonFault | undefined;

  constructor(bytes: Uint8Array, options: { readonly allowNonFinite: boolean }) {
    this.#bytes = bytes;
    this.#shift = bytes.byteOffset & 3;
    const wordsAt = bytes.byteOffset - this.#shift;
    this.#words = new Int32Array(bytes.buffer, wordsAt, (bytes.byteOffset + bytes.length - wordsAt) >> 2);
    this.#allowNonFinite = options.allowNonFinite;
  }

  /** Start and end of each bare NaN, Infinity and -Infinity, in order. */
  get nonFinite(): ArrayLike<number> {
    return this.#nonFinite === undefined ? NONE : this.#nonFinite.subarray(0, this.#nonFiniteLength);
  }

  /** After the white space from `at` on. */
  space(at: number): number {
    const bytes = this.#bytes;
    let offset = at;
    while (WHITE[bytes[offset] as number] === 1) offset++;
    return offset;
  }

  /** The offset after the string whose opening quote is at `at`. */
  string(at: number): number {
    const bytes = this.#bytes;
    const end = bytes.length;
    if (bytes[at] !== QUOTE) return this.#unexpected(at);
    let offset = at + 1;
    for (;;) {
      const wordsFrom = Math.min(end, offset + WORDS_AFTER_BYTES);
      while (offset < wordsFrom && PLAIN[bytes[offset] as number] === 1) offset++;
      if (offset === wordsFrom) {
        offset = this.#skipPlainWords(offset);
        while (offset < end && PLAIN[bytes[offset] as number] === 1) offset++;
      }
      if (offset >= end) return this.#fail(offset, "the text ends inside a string");
      const byte = bytes[offset] as number;
      if (byte === QUOTE) return offset + 1;
      if (byte !== BACKSLASH) return this.#fail(offset, "a control character inside a string");
      // Escapes come in rows where they come.
      do offset = this.#escape(offset);
      while (offset >= 0 && bytes[offset] === BACKSLASH);
      if (offset < 0) return -1;
    }
  }

  /**
   * Skips whole words without a quote, a backslash or a control character (the arithmetic of "does
   * a word have a zero byte").
   */
  #skipPlainWords(at: number): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const shift = this.#shift;
    const end = bytes.length;
    let offset = at;
    while (((offset + shift) & 3) !== 0) {
      if (offset >= end || PLAIN[bytes[offset] as number] !== 1) return offset;
      offset += 1;
    }
    for (let index = (offset + shift) >> 2; index < words.length; index++) {
      const word = words[index] as number;
      const quote = word ^ 0x22222222;
      const backslash = word ^ 0x5c5c5c5c;
      const found =
        ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash) | ((word - 0x20202020) & ~word);
      if ((found & 0x80808080) !== 0) break;
      offset += 4;
    }
    return offset;
  }

  /** After the escape at `at`. */
  #escape(at: number): number {
    const bytes = this.#bytes;
    const kind = ESCAPE[bytes[at + 1] as number];
    if (kind === 1) return at + 2;
    if (kind !== 2) return this.#fail(at, "an unknown escape");
    for (let digit = at + 2; digit < at + 6; digit++)
      if (HEX_DIGIT[bytes[digit] as number] !== 1) return this.#fail(digit, "a \\u escape without four hex digits");
    return at + 6;
  }

  /** After the value that begins at `at`, which must not be white space. */
  value(at: number): number {
    const first = this.#bytes[at] as number;
    if (first === QUOTE) return this.string(at);
    if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return this.#scalar(at, first);
    return this.#container(at);
  }

  #scalar(at: number, first: number): number {
    return DIGIT[first] === 1 || first === MINUS ? this.#number(at) : this.#word(at);
  }

  #container(at: number): number {
    const bytes = this.#bytes;
    const stack = STACK;
    let offset = at;
    let depth = 0;
    for (;;) {
      // A value begins here.
      const byte = bytes[offset] as number;
      if (byte === QUOTE) offset = this.string(offset);
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (depth === DEPTH_MAX) return this.#fail(offset, `nested deeper than ${DEPTH_MAX}`);
        const isObject = byte === OPEN_BRACE;
        offset = this.space(offset + 1);
        if (bytes[offset] === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) offset += 1;
        else {
          stack[depth++] = isObject ? 1 : 0;
          if (isObject) {
            offset = this.key(offset);
            if (offset < 0) return -1;
          }
          continue;
        }
      } else offset = this.#scalar(offset, byte);
      if (offset < 0) return -1;

      // A value has ended: close what closes, continue after a comma.
      for (;;) {
        if (depth === 0) return offset;
        if (WHITE[bytes[offset] as number] === 1) offset = this.space(offset);
        const next = bytes[offset] as number;
        const inObject = stack[depth - 1] === 1;
        if (next === COMMA) {
          offset += 1;
          if (WHITE[bytes[offset] as number] === 1) offset = this.space(offset);
          if (inObject) {
            offset = this.key(offset);
            if (offset < 0) return -1;
          }
          break;
        }
        if (next !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) return this.#unexpected(offset);
        depth -= 1;
        offset += 1;
      }
    }
  }

  /** After the key at `at`, its colon and the white space around it: where its value begins. */
  key(at: number): number {
    const after = this.string(at);
    if (after < 0) return -1;
    const bytes = this.#bytes;
    let offset = WHITE[bytes[after] as number] === 1 ? this.space(after) : after;
    if (bytes[offset] !== COLON) return this.#unexpected(offset);
    offset += 1;
    return WHITE[bytes[offset] as number] === 1 ? this.space(offset) : offset;
  }

  /** Notes a fault that the caller found; returns -1. */
  reject(offset: number): number {
    return this.#unexpected(offset);
  }

  #number(at: number): number {
    const bytes = this.#bytes;
    let offset = bytes[at] === MINUS ? at + 1 : at;
    if (DIGIT[bytes[offset] as number] !== 1) return this.#word(at);
    if (bytes[offset] === 0x30) offset += 1;
    else while (DIGIT[bytes[offset] as number] === 1) offset++;
    if (bytes[offset] === 0x2e) {
      offset += 1;
      if (DIGIT[bytes[offset] as number] !== 1) return this.#unexpected(offset);
      while (DIGIT[bytes[offset] as number] === 1) offset++;
    }
    const exponent = bytes[offset] as number;
    if (exponent === 0x65 || exponent === 0x45) {
      offset += 1;
      if (bytes[offset] === 0x2b || bytes[offset] === MINUS) offset += 1;
      if (DIGIT[bytes[offset] as number] !== 1) return this.#unexpected(offset);
      while (DIGIT[bytes[offset] as number] === 1) offset++;
    }
    return offset;
  }

  #word(at: number): number {
    const bytes = this.#bytes;
    switch (bytes[at]) {
      case TRUE[0]:
        return matches(bytes, at, TRUE) ? at + TRUE.length : this.#unexpected(at);
      case FALSE[0]:
        return matches(bytes, at, FALSE) ? at + FALSE.length : this.#unexpected(at);
      case NULL[0]:
        return matches(bytes, at, NULL) ? at + NULL.length : this.#unexpected(at);
      case NAN[0]:
        return this.#notFinite(at, NAN);
      case INFINITE[0]:
        return this.#notFinite(at, INFINITE);
      case MINUS:
        return this.#notFinite(at, MINUS_INFINITE);
      default:
        return this.#unexpected(at);
    }
  }

  #notFinite(at: number, word: Uint8Array): number {
    if (!this.#allowNonFinite || !matches(this.#bytes, at, word)) return this.#unexpected(at);
    const length = this.#nonFiniteLength;
    let pairs = this.#nonFinite;
    if (pairs === undefined || length === pairs.length) {
      // A hostile body has a hundred thousand: a plain array grows six times as slowly.
      const grown = new Int32Array(pairs === undefined ? 16 : 2 * length);
      if (pairs !== undefined) grown.set(pairs);
      pairs = grown;
      this.#nonFinite = pairs;
    }
    const end = at + word.length;
    pairs[length] = at;
    pairs[length + 1] = end;
    this.#nonFiniteLength = length + 2;
    return end;
  }

  #unexpected(offset: number): number {
    const byte = this.#bytes[offset];
    return this.#fail(
      offset,
      byte === undefined ? "the text ends too early" : `unexpected byte 0x${byte.toString(16).padStart(2, "0")}`,
    );
  }

  #fail(offset: number, reason: string): number {
    this.fault ??= { offset, reason };
    return -1;
  }
}

/**
 * Whether the JSON text between two quotes, from `start` to `end`, equals `word`, written with or
 * without escapes. The text is known to be JSON; `word` consists of ASCII letters, digits, `_` and
 * `$` alone, for which a Unicode escape is the only escape. Looks at no more bytes than the word
 * can take.
 */
export function textEquals(bytes: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start < word.length) return false;
  let at = start;
  for (let index = 0; index < word.length; index++) {
    if (at >= end) return false;
    const isEscape = bytes[at] === BACKSLASH;
    if (isEscape && ESCAPE[bytes[at + 1] as number] !== 2) return false;
    const code = isEscape ? hexAt(bytes, at + 2) : bytes[at];
    if (code !== word.charCodeAt(index)) return false;
    at += isEscape ? 6 : 1;
  }
  return at === end;
}

/** The number that four hex digits write. */
function hexAt(bytes: Uint8Array, at: number): number {
  let code = 0;
  for (let digit = at; digit < at + 4; digit++) {
    const byte = bytes[digit] as number;
    code = 16 * code + (byte <= 0x39 ? byte - 0x30 : (byte | 0x20) - 0x57);
  }
  return code;
}

function bytesOf(word: string): Uint8Array {
  return Uint8Array.from(word, (character) => character.charCodeAt(0));
}

/** The first byte is known to be right. */
function matches(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let index = 1; index < word.length; index++) if (bytes[at + index] !== word[index]) return false;
  return true;
}
