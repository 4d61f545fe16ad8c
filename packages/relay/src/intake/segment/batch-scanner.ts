import type { BatchScan, FoundEvent, Range } from "@waybill/vendors";
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
}

interface Scanner {
  readonly scanBatch: (bytes: Uint8Array) => BatchScan | undefined;
  readonly scanArray: (bytes: Uint8Array) => readonly Range[] | undefined;
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

function createScanner(): Scanner {
  const module = new WebAssembly.Module(Buffer.from(BATCH_SCAN_WASM, "base64"));
  const { memory, scan, scanArray } = new WebAssembly.Instance(module, {}).exports as Exports;
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
  return {
    scanBatch(input) {
      if (input.length > INPUT_MAX_BYTES) return undefined;
      const count = scan(INPUT_AT, put(input), OUTPUT_AT, EVENTS_MAX, FIELDS_AT);
      if (count < 0) return undefined;
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
