/**
 * Scans the ordinary Segment batch as `scanSegment` does, hashes the ids of one that is stored as `IdWindow` does, the ordinary JSON array as `frame` does, and the members of ordinary stored events as `OrderReader` does,
 * three times as fast: strings sixteen bytes at a time.
 * AssemblyScript; `npm run wasm` makes `src/intake/segment/batch-scan.wasm.ts` of it, a test holds the two together.
 *
 * It takes only what is wholly ordinary: no escapes in keys, no bare NaN; of Segment's one batch, every event an object with a known type and, where it has one, an id
 * that is a text, no write key in an event. For anything else, and anything wrong, it returns -1 and the plain scanner looks: that one alone says what is wrong. So
 * whatever this one takes, the plain one takes with the same result (`test/intake/segment/batch-scanner.test.ts`).
 *
 * That the bytes are UTF-8 is checked before. The input must be followed by 64 zero bytes. Bytes 0 to 255 of the memory are the stack of containers.
 */
const QUOTE: i32 = 0x22, BACKSLASH: i32 = 0x5c, COMMA: i32 = 0x2c, COLON: i32 = 0x3a;
const LB: i32 = 0x5b, RB: i32 = 0x5d, LC: i32 = 0x7b, RC: i32 = 0x7d;
const STACK: i32 = 0;

@inline function byte(at: i32): i32 { return <i32>load<u8>(at); }

@inline function space(at: i32): i32 {
  let c = byte(at);
  while (c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09) { at++; c = byte(at); }
  return at;
}

/** Behind the closing quote; `at` is behind the opening one. -1 for a control character, a bad escape or the end. */
function stringBehind(at: i32, end: i32): i32 {
  const quote = i8x16.splat(0x22), backslash = i8x16.splat(0x5c), control = i8x16.splat(0x20);
  while (true) {
    const block = v128.load(at);
    const hits = i8x16.bitmask(v128.or(v128.or(i8x16.eq(block, quote), i8x16.eq(block, backslash)), i8x16.lt_u(block, control)));
    if (hits == 0) { at += 16; if (at >= end) return -1; continue; }
    at += ctz(hits);
    if (at >= end) return -1;
    const c = byte(at);
    if (c == QUOTE) return at + 1;
    if (c != BACKSLASH) return -1;
    const e = byte(at + 1);
    if (e == 0x75) {
      for (let i = at + 2; i < at + 6; i++) {
        const digit = byte(i), letter = digit | 0x20;
        if (!(isDigit(digit) || (letter >= 0x61 && letter <= 0x66))) return -1;
      }
      at += 6;
    } else if (e == 0x22 || e == 0x5c || e == 0x2f || e == 0x62 || e == 0x66 || e == 0x6e || e == 0x72 || e == 0x74) at += 2;
    else return -1;
    if (at >= end) return -1;
  }
}

/** Like stringBehind, and -1 for any escape: of a key. */
function keyBehind(at: i32, end: i32): i32 {
  const quote = i8x16.splat(0x22), backslash = i8x16.splat(0x5c), control = i8x16.splat(0x20);
  while (true) {
    const block = v128.load(at);
    const hits = i8x16.bitmask(v128.or(v128.or(i8x16.eq(block, quote), i8x16.eq(block, backslash)), i8x16.lt_u(block, control)));
    if (hits == 0) { at += 16; if (at >= end) return -1; continue; }
    at += ctz(hits);
    return at < end && byte(at) == QUOTE ? at + 1 : -1;
  }
}

@inline function isDigit(c: i32): bool { return <u32>(c - 0x30) < 10; }

/** Behind a number or a word. */
function scalar(at: i32): i32 {
  let c = byte(at);
  if (c == 0x2d || isDigit(c)) {
    if (c == 0x2d) { at++; c = byte(at); if (!isDigit(c)) return -1; }
    if (c == 0x30) { at++; c = byte(at); }
    else { do { at++; c = byte(at); } while (isDigit(c)); }
    if (c == 0x2e) { at++; if (!isDigit(byte(at))) return -1; do { at++; c = byte(at); } while (isDigit(c)); }
    if (c == 0x65 || c == 0x45) {
      at++; c = byte(at);
      if (c == 0x2b || c == 0x2d) { at++; c = byte(at); }
      if (!isDigit(c)) return -1;
      do { at++; c = byte(at); } while (isDigit(c));
    }
    return at;
  }
  const word = load<u32>(at);
  if (word == 0x65757274 || word == 0x6c6c756e) return at + 4; // true, null
  if (word == 0x736c6166 && byte(at + 4) == 0x65) return at + 5; // false
  return -1;
}

/** Behind the value that begins at `at`. */
function value(at: i32, end: i32): i32 {
  let depth: i32 = 0;
  while (true) {
    const c = byte(at);
    if (c == QUOTE) at = stringBehind(at + 1, end);
    else if (c == LC || c == LB) {
      if (depth == 256) return -1;
      at = space(at + 1);
      if (byte(at) == (c == LC ? RC : RB)) at++;
      else {
        store<u8>(STACK + depth, c == LC ? 1 : 0);
        depth++;
        if (c == LC) { at = key(at, end); if (at < 0) return -1; }
        continue;
      }
    } else at = scalar(at);
    if (at < 0) return -1;
    while (true) {
      if (depth == 0) return at;
      at = space(at);
      const n = byte(at);
      const inObject = load<u8>(STACK + depth - 1) == 1;
      if (n == COMMA) {
        at = space(at + 1);
        if (inObject) { at = key(at, end); if (at < 0) return -1; }
        break;
      }
      if (n != (inObject ? RC : RB)) return -1;
      depth--;
      at++;
    }
  }
}

/** Behind key and colon, where the value begins. */
function key(at: i32, end: i32): i32 {
  if (byte(at) != QUOTE) return -1;
  at = keyBehind(at + 1, end);
  if (at < 0) return -1;
  at = space(at);
  if (byte(at) != COLON) return -1;
  return space(at + 1);
}

/** One of the six types, between its quotes. */
function knownType(start: i32, length: i32): bool {
  if (length == 4) return load<u32>(start) == 0x65676170; // page
  if (length == 5) return (load<u32>(start) == 0x63617274 && byte(start + 4) == 0x6b) // track
    || (load<u32>(start) == 0x756f7267 && byte(start + 4) == 0x70) // group
    || (load<u32>(start) == 0x61696c61 && byte(start + 4) == 0x73); // alias
  if (length == 6) return load<u32>(start) == 0x65726373 && load<u16>(start + 4) == 0x6e65; // screen
  if (length == 8) return load<u64>(start) == 0x796669746e656469; // identify
  return false;
}

/** Events of the batch, those without an id with -1 for its start and end; -1 when something is unusual. */
function batch(at: i32, end: i32, out: i32, outMax: i32): i32 {
  if (byte(at) != LB) return -1;
  at = space(at + 1);
  let count: i32 = 0;
  if (byte(at) == RB) { store<i32>(out, at + 1); return 0; }
  while (true) {
    if (byte(at) != LC || count == outMax) return -1;
    const start = at;
    let idStart: i32 = -1, idEnd: i32 = -1;
    let typed = false;
    at = space(at + 1);
    if (byte(at) == RC) return -1;
    while (true) {
      if (byte(at) != QUOTE) return -1;
      const keyStart = at + 1;
      const behind = keyBehind(keyStart, end);
      if (behind < 0) return -1;
      const keyLength = behind - 1 - keyStart;
      at = space(behind);
      if (byte(at) != COLON) return -1;
      const valueAt = space(at + 1);
      at = value(valueAt, end);
      if (at < 0) return -1;
      if (keyLength == 9 && load<u64>(keyStart) == 0x496567617373656d && byte(keyStart + 8) == 0x64) { // messageId
        if (byte(valueAt) != QUOTE || at - valueAt <= 2) return -1;
        idStart = valueAt + 1;
        idEnd = at - 1;
      } else if (keyLength == 4 && load<u32>(keyStart) == 0x65707974) { // type
        if (byte(valueAt) != QUOTE || !knownType(valueAt + 1, at - valueAt - 2)) return -1;
        typed = true;
      } else if (keyLength == 8 && load<u64>(keyStart) == 0x79654b6574697277) return -1; // writeKey: it must not travel on
      at = space(at);
      const n = byte(at);
      at++;
      if (n == RC) break;
      if (n != COMMA) return -1;
      at = space(at);
    }
    if (!typed) return -1;
    const slot = out + 4 + count * 16;
    store<i32>(slot, start);
    store<i32>(slot + 4, at);
    store<i32>(slot + 8, idStart);
    store<i32>(slot + 12, idEnd);
    count++;
    at = space(at);
    const n = byte(at);
    if (n == RB) { store<i32>(out, at + 1); return count; }
    if (n != COMMA) return -1;
    at = space(at + 1);
  }
}

/**
 * Scans `{"batch":[…], …}` from `at` to `end`; the bytes behind `end` are zeros. `out`: place behind the batch, then per event start, end, id's start and
 * end; `fields`: start and end of the values of writeKey, sentAt, context, integrations, or -1. Returns the number of events, -1 when the plain scanner has to look.
 */
export function scan(at: i32, end: i32, out: i32, outMax: i32, fields: i32): i32 {
  for (let i = 0; i < 8; i++) store<i32>(fields + 4 * i, -1);
  let count: i32 = -1;
  at = space(at);
  if (byte(at) != LC) return -1;
  at = space(at + 1);
  while (true) {
    if (byte(at) != QUOTE) return -1;
    const keyStart = at + 1;
    const behind = keyBehind(keyStart, end);
    if (behind < 0) return -1;
    const length = behind - 1 - keyStart;
    at = space(behind);
    if (byte(at) != COLON) return -1;
    const valueAt = space(at + 1);
    const first = load<u32>(keyStart);
    if (length == 5 && first == 0x63746162 && byte(keyStart + 4) == 0x68) { // batch
      if (count >= 0) return -1;
      count = batch(valueAt, end, out, outMax);
      if (count < 0) return -1;
      at = load<i32>(out);
    } else {
      at = value(valueAt, end);
      if (at < 0) return -1;
      let field: i32 = -1;
      if (length == 8 && load<u64>(keyStart) == 0x79654b6574697277) field = 0; // writeKey
      else if (length == 6 && first == 0x746e6573 && load<u16>(keyStart + 4) == 0x7441) field = 1; // sentAt
      else if (length == 7 && first == 0x746e6f63 && load<u32>(keyStart + 3) == 0x74786574) field = 2; // context
      else if (length == 12 && load<u64>(keyStart) == 0x7461726765746e69 && load<u32>(keyStart + 8) == 0x736e6f69) field = 3; // integrations
      if (field >= 0) { store<i32>(fields + 8 * field, valueAt); store<i32>(fields + 8 * field + 4, at); }
    }
    at = space(at);
    const n = byte(at);
    at++;
    if (n == RC) break;
    if (n != COMMA) return -1;
    at = space(at);
  }
  return space(at) == end && count > 0 ? count : -1;
}

@inline function mix(value: u32): u32 {
  value = (value ^ (value >> 16)) * 0x85ebca6b;
  value = (value ^ (value >> 13)) * 0xc2b2ae35;
  return value ^ (value >> 16);
}

/**
 * Hashes the ids of the batch `[…]` from `at` to `end`, as `IdWindow.hash` does with the seed `a` to `d`; the bytes behind `end` are zeros. `words`: four per event, zeros for
 * one without an id. `out` is overwritten. Returns the number of events, -1 when the plain reader has to look.
 */
export function idHashes(at: i32, end: i32, out: i32, outMax: i32, words: i32, a: u32, b: u32, c: u32, d: u32): i32 {
  const count = batch(at, end, out, outMax);
  if (count <= 0 || load<i32>(out) != end) return -1;
  for (let index: i32 = 0; index < count; index++) {
    const slot = out + 4 + index * 16, to = words + index * 16;
    const idStart = load<i32>(slot + 8), idEnd = load<i32>(slot + 12);
    if (idStart < 0) { v128.store(to, i32x4.splat(0)); continue; }
    let p: u32 = a, q: u32 = b, r: u32 = c, s: u32 = d ^ (idEnd - idStart);
    for (let from = idStart; from < idEnd; from += 4) {
      const left = idEnd - from;
      let word = load<u32>(from);
      if (left < 4) word &= (1 << (8 * left)) - 1;
      p = rotl<u32>((p ^ word) * 0xcc9e2d51, 15);
      q = rotl<u32>((q ^ word) * 0x1b873593, 13) + p;
      r = rotl<u32>((r ^ word) * 0x85ebca6b, 16) + q;
      s = rotl<u32>((s ^ word) * 0xc2b2ae35, 11) + r;
    }
    p = mix(p + s);
    q = mix(q + p);
    r = mix(r + q);
    s = mix(s + r);
    store<u32>(to, p == 0 || p == 0xffffffff ? 1 : p);
    store<u32>(to + 4, q);
    store<u32>(to + 8, r);
    store<u32>(to + 12, s);
  }
  return count;
}

/**
 * Scans `[…]` from `at` to `end`; the bytes behind `end` are zeros. `out`: per element start and end. Returns the number of elements, -1 when the plain scanner has to look.
 */
export function scanArray(at: i32, end: i32, out: i32, outMax: i32): i32 {
  at = space(at);
  if (byte(at) != LB) return -1;
  at = space(at + 1);
  let count: i32 = 0;
  while (true) {
    if (count == outMax) return -1;
    const slot = out + count * 8;
    store<i32>(slot, at);
    at = value(at, end);
    if (at < 0) return -1;
    store<i32>(slot + 4, at);
    count++;
    at = space(at);
    const n = byte(at);
    at = space(at + 1);
    if (n == RB) return at == end ? count : -1;
    if (n != COMMA) return -1;
  }
}

/** Bytes of a name: its length, and at 16 its text of at most 16 bytes. */
const NAME_BYTES: i32 = 32;

/**
 * Finds members of `count` events from `at` to `end`, which are separated by commas; the bytes behind `end` are zeros. `ends`: per event the byte behind it and its white
 * space, counted from `at`. `out`: per event, of each of `slots` names the start and end of its last value, counted from `at`, or -1. Returns -1 when the plain reader has
 * to look.
 */
export function members(at: i32, end: i32, ends: i32, count: i32, out: i32, names: i32, slots: i32): i32 {
  const base = at;
  for (let index: i32 = 0; index < count; index++) {
    const found = out + 8 * index * slots;
    for (let slot: i32 = 0; slot < slots; slot++) store<i64>(found + 8 * slot, -1);
    at = space(at);
    if (byte(at) != LC) return -1;
    at = space(at + 1);
    if (byte(at) == RC) at++;
    else while (true) {
      if (byte(at) != QUOTE) return -1;
      const keyStart = at + 1;
      const behind = keyBehind(keyStart, end);
      if (behind < 0) return -1;
      const length = behind - 1 - keyStart;
      at = space(behind);
      if (byte(at) != COLON) return -1;
      const valueAt = space(at + 1);
      at = value(valueAt, end);
      if (at < 0) return -1;
      for (let slot: i32 = 0; slot < slots; slot++) {
        const name = names + NAME_BYTES * slot;
        if (length != load<i32>(name)) continue;
        const equal = (1 << length) - 1;
        if ((i8x16.bitmask(i8x16.eq(v128.load(keyStart), v128.load(name + 16))) & equal) != equal) continue;
        store<i32>(found + 8 * slot, valueAt - base);
        store<i32>(found + 8 * slot + 4, at - base);
      }
      at = space(at);
      const n = byte(at);
      at++;
      if (n == RC) break;
      if (n != COMMA) return -1;
      at = space(at);
    }
    at = space(at);
    if (at - base != load<i32>(ends + 4 * index)) return -1;
    if (index == count - 1) break;
    if (byte(at) != COMMA) return -1;
    at++;
  }
  return at == end ? 1 : -1;
}
