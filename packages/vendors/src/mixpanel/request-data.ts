/**
 * Finds the JSON of a Mixpanel request: the body itself, or `data` in a URL-encoded body or in the
 * query, as JSON or in base64.
 *
 * The Node SDK puts raw base64 into a URL-encoded body, so a plus sign there is a plus sign. The
 * Python SDK URL-encodes its JSON, where a plus sign is a space.
 */

export interface RequestData {
  /**
   * UTF-8, without any encoding around it; `undefined` when there is none, or it cannot be decoded.
   */
  readonly json: Uint8Array | undefined;
  /** Whether the body is JSON itself. */
  readonly isRaw: boolean;
  /** Short parameters of the query, then of the body. */
  readonly parameters: ReadonlyMap<string, string>;
}

interface Span {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const AMPERSAND = 0x26;
const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
/** No parameter that is read here is longer. */
const PARAMETER_MAX_BYTES = 512;
/** More than any client sends; the rest is not looked at. */
const PARAMETERS_MAX = 64;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** The six bits of a character of either base64 alphabet. */
const SEXTETS: Uint8Array = new Uint8Array(256).fill(255);
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
for (let index = 0; index < ALPHABET.length; index++) SEXTETS[ALPHABET.charCodeAt(index)] = index;
SEXTETS["-".charCodeAt(0)] = ALPHABET.indexOf("+");
SEXTETS["_".charCodeAt(0)] = ALPHABET.indexOf("/");
/** A decoder on the way may have made a space of a plus sign. */
SEXTETS[SPACE] = ALPHABET.indexOf("+");
const PADDING = 254;
SEXTETS[EQUALS] = PADDING;

/** `body` is UTF-8. */
export function readRequestData(body: Uint8Array, query: string): RequestData {
  const parameters = new Map<string, string>();
  const inQuery = readPairs(encoder.encode(query), parameters);
  const first = firstByte({ bytes: body, start: 0, end: body.length });
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return { json: body, isRaw: true, parameters };
  const data = readPairs(body, parameters) ?? inQuery;
  return { json: data === undefined ? undefined : decodeData(data), isRaw: false, parameters };
}

/** Where `data` is. The first of several pairs of one name counts. */
function readPairs(bytes: Uint8Array, parameters: Map<string, string>): Span | undefined {
  let data: Span | undefined;
  let start = 0;
  for (let count = 0; start < bytes.length && count < PARAMETERS_MAX; count++) {
    const ampersand = bytes.indexOf(AMPERSAND, start);
    const end = ampersand === -1 ? bytes.length : ampersand;
    const equals = bytes.indexOf(EQUALS, start);
    const nameEnd = equals === -1 || equals > end ? end : equals;
    const value = { bytes, start: Math.min(nameEnd + 1, end), end };
    if (nameEnd - start <= PARAMETER_MAX_BYTES) {
      const name = decoder.decode(percentDecoded({ bytes, start, end: nameEnd }));
      if (name === "data") data ??= value;
      else if (value.end - value.start <= PARAMETER_MAX_BYTES && !parameters.has(name))
        parameters.set(name, decoder.decode(percentDecoded(value)));
    }
    start = end + 1;
  }
  return data;
}

function decodeData(span: Span): Uint8Array | undefined {
  const first = firstByte(span);
  const json = first === OPEN_BRACE || first === OPEN_BRACKET ? percentDecoded(span) : base64Decoded(span);
  if (json === undefined || json.length === 0) return undefined;
  try {
    strictDecoder.decode(json);
    return json;
  } catch {
    return undefined;
  }
}

/** The first byte that is not white space, decoded. */
function firstByte({ bytes, start, end }: Span): number | undefined {
  for (let at = start; at < end; ) {
    const byte = bytes[at] as number;
    const escaped = byte === PERCENT ? hexByte(bytes, at + 1, end) : -1;
    const found = escaped === -1 ? byte : escaped;
    if (found > SPACE && found !== PLUS) return found;
    at += escaped === -1 ? 1 : 3;
  }
  return undefined;
}

function percentDecoded({ bytes, start, end }: Span): Uint8Array {
  const decoded = new Uint8Array(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    const escaped = byte === PERCENT ? hexByte(bytes, at + 1, end) : -1;
    if (escaped !== -1) at += 2;
    decoded[length++] = escaped !== -1 ? escaped : byte === PLUS ? SPACE : byte;
  }
  return decoded.subarray(0, length);
}

/** `undefined` for what is not base64, with or without padding. */
function base64Decoded({ bytes, start, end }: Span): Uint8Array | undefined {
  const decoded = new Uint8Array(Math.ceil(((end - start) * 3) / 4));
  let length = 0;
  let bits = 0;
  let pending = 0;
  for (let at = start; at < end; at++) {
    let byte = bytes[at] as number;
    if (byte === PERCENT) {
      byte = hexByte(bytes, at + 1, end);
      at += 2;
    }
    const sextet = byte === -1 ? 255 : (SEXTETS[byte] as number);
    if (sextet === PADDING) break;
    if (sextet === 255) return undefined;
    bits = ((bits << 6) | sextet) & 0xffff;
    pending += 6;
    if (pending < 8) continue;
    pending -= 8;
    decoded[length++] = bits >> pending;
  }
  return decoded.subarray(0, length);
}

/** The byte that two hex digits write; -1 when they are not. */
function hexByte(bytes: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) return -1;
  const high = hexDigit(bytes[at] as number);
  const low = hexDigit(bytes[at + 1] as number);
  return high === -1 || low === -1 ? -1 : 16 * high + low;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
