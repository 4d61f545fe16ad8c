import type { BatchScan, FoundEvent, Range } from "@waybill/vendors";
import type { MemberScan } from "@waybill/vendors/registry";
import { BATCH_SCAN_WASM } from "./batch-scan.wasm.ts";

/** Places in the module's memory. The stack of containers has the bytes before. */
const FIELDS_AT = 512;
const INPUT_AT = 4_096;
const INPUT_MAX_BYTES = 1024 * 1024;
/** Zeros after the input, so that reading a little further finds nothing. */
const PADDING_BYTES = 64;
const OUTPUT_AT: number = INPUT_AT + INPUT_MAX_BYTES + PADDING_BYTES;
const EVENTS_MAX = 30_000;
const WORD_BYTES = 4;
const WORDS_PER_EVENT = 4;
const WORDS_PER_ELEMENT = 2;
const NAMES_AT = 1_024;
const NAME_BYTES = 32;
const NAME_TEXT_AT = 16;
const NAMES_MAX = 4;
/** Of stored events: where they end, and after that where their members are. */
const STORED_MAX = 20_000;
const MEMBERS_AT: number = OUTPUT_AT + WORD_BYTES * STORED_MAX;
/** Of hashes of ids; before them are the events. */
const WORDS_PER_HASH = 4;
const HASHES_AT: number = OUTPUT_AT + WORD_BYTES * (1 + WORDS_PER_EVENT * EVENTS_MAX);
const LEFT_BRACKET = 0x5b;
const RIGHT_BRACKET = 0x5d;

/**
 * The little of the platform's WebAssembly that is used: Node's types leave it to those of the DOM.
 */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly scan: (at: number, end: number, out: number, outMax: number, fields: number) => number;
  readonly scanArray: (at: number, end: number, out: number, outMax: number) => number;
  readonly members: (
    at: number,
    end: number,
    ends: number,
    count: number,
    out: number,
    names: number,
    slots: number,
  ) => number;
  readonly idHashes: (
    at: number,
    end: number,
    out: number,
    outMax: number,
    words: number,
    a: number,
    b: number,
    c: number,
    d: number,
  ) => number;
}

/**
 * The hashes of the ids of ordinary stored events, four words each, zeros for one without an id;
 * overwritten by the next call. `seed`: four words, its first one with the scope. `undefined` where
 * something is unusual, or the events are not as many as `count`.
 */
export type IdHasher = (body: Uint8Array, count: number, seed: Uint32Array) => Uint32Array | undefined;

interface Scanner {
  readonly scanBatch: (bytes: Uint8Array) => BatchScan | undefined;
  readonly scanArray: (bytes: Uint8Array) => readonly Range[] | undefined;
  readonly members: MemberScan;
  readonly hashIds: IdHasher;
}

let shared: Scanner | undefined;

/**
 * The function that scans ordinary batches in WebAssembly (see wasm/batch-scan.as): `undefined` for
 * a body that the plain scanner has to look at, be it unusual, wrong, or above 1 MiB. One for the
 * process, made when it is first asked for: a call never pauses, and its memory of 2 MiB holds
 * nothing between two calls.
 */
export function batchScanner(): Scanner["scanBatch"] {
  shared ??= createScanner();
  return shared.scanBatch;
}

/** The same for ordinary JSON arrays: where their elements are. */
export function arrayScanner(): Scanner["scanArray"] {
  shared ??= createScanner();
  return shared.scanArray;
}

/** Where members of ordinary stored events are. */
export function memberScanner(): MemberScan {
  shared ??= createScanner();
  return shared.members;
}

/** As `IdWindow.hash` does. */
export function idHasher(): IdHasher {
  shared ??= createScanner();
  return shared.hashIds;
}

function createScanner(): Scanner {
  const module = new WebAssembly.Module(Buffer.from(BATCH_SCAN_WASM, "base64"));
  const { memory, scan, scanArray, members, idHashes } = new WebAssembly.Instance(module, {}).exports as Exports;
  const bytesOf = new Uint8Array(memory.buffer);
  const words = new Int32Array(memory.buffer);
  const field = (index: number): Range | undefined => {
    const at = FIELDS_AT / WORD_BYTES + 2 * index;
    const start = words[at] as number;
    return start < 0 ? undefined : { start: start - INPUT_AT, end: (words[at + 1] as number) - INPUT_AT };
  };
  /** Takes over the input; returns where it ends. */
  const put = (input: Uint8Array): number => {
    const end = INPUT_AT + input.length;
    bytesOf.set(input, INPUT_AT);
    bytesOf.fill(0, end, end + PADDING_BYTES);
    return end;
  };
  let known: readonly string[] | undefined;
  const name = (names: readonly string[]): void => {
    known = names;
    for (const [slot, text] of names.entries()) {
      const at = NAMES_AT + NAME_BYTES * slot;
      words[at / WORD_BYTES] = text.length;
      bytesOf.set(Buffer.from(text), at + NAME_TEXT_AT);
    }
  };
  return {
    members({ body, ends }, names) {
      if (body.length > INPUT_MAX_BYTES || ends.length > STORED_MAX || names.length > NAMES_MAX) return undefined;
      if (known !== names) name(names);
      words.set(ends, OUTPUT_AT / WORD_BYTES);
      const end = put(body);
      if (members(INPUT_AT, end, OUTPUT_AT, ends.length, MEMBERS_AT, NAMES_AT, names.length) < 0) return undefined;
      return new Int32Array(memory.buffer, MEMBERS_AT, 2 * names.length * ends.length);
    },
    hashIds(body, count, [a = 0, b = 0, c = 0, d = 0]) {
      if (body.length + 2 > INPUT_MAX_BYTES) return undefined;
      const end = INPUT_AT + 1 + body.length + 1;
      bytesOf[INPUT_AT] = LEFT_BRACKET;
      bytesOf.set(body, INPUT_AT + 1);
      bytesOf[end - 1] = RIGHT_BRACKET;
      bytesOf.fill(0, end, end + PADDING_BYTES);
      if (idHashes(INPUT_AT, end, OUTPUT_AT, EVENTS_MAX, HASHES_AT, a, b, c, d) !== count) return undefined;
      return new Uint32Array(memory.buffer, HASHES_AT, WORDS_PER_HASH * count);
    },
    scanBatch(input) {
      if (input.length > INPUT_MAX_BYTES) return undefined;
      const count = scan(INPUT_AT, put(input), OUTPUT_AT, EVENTS_MAX, FIELDS_AT);
      if (count < 0) return undefined;
      const events = foundEvents(words, count);
      return { events, writeKey: field(0), sentAt: field(1), context: field(2), integrations: field(3) };
    },
    scanArray(input) {
      if (input.length > INPUT_MAX_BYTES) return undefined;
      const count = scanArray(INPUT_AT, put(input), OUTPUT_AT, EVENTS_MAX);
      if (count < 0) return undefined;
      const elements = new Array<Range>(count);
      for (let index = 0; index < count; index++) {
        const at = OUTPUT_AT / WORD_BYTES + WORDS_PER_ELEMENT * index;
        elements[index] = { start: (words[at] as number) - INPUT_AT, end: (words[at + 1] as number) - INPUT_AT };
      }
      return elements;
    },
  };
}

function foundEvents(words: Int32Array, count: number): readonly FoundEvent[] {
  const events = new Array<FoundEvent>(count);
  for (let index = 0; index < count; index++) {
    const at = OUTPUT_AT / WORD_BYTES + 1 + WORDS_PER_EVENT * index;
    events[index] = {
      start: (words[at] as number) - INPUT_AT,
      end: (words[at + 1] as number) - INPUT_AT,
      // Both are -1 where there is none.
      idStart: Math.max(-1, (words[at + 2] as number) - INPUT_AT),
      idEnd: Math.max(-1, (words[at + 3] as number) - INPUT_AT),
      badId: undefined,
      needsType: false,
    };
  }
  return events;
}
