/**
 * The fast scanner beside the plain one: what the fast one takes, the plain one takes with the same
 * result.
 */
import { isUtf8 } from "node:buffer";
import { SeededRandom } from "@waybill/testing";
import { DEFAULT_LIMITS, frame, type SegmentLimits, STRICT_LIMITS, scanSegment } from "@waybill/vendors";
import { adapterOf } from "@waybill/vendors/registry";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HASH_WORDS, IdWindow } from "../../../src/intake/id-window.ts";
import { arrayScanner, batchScanner, idHasher } from "../../../src/intake/segment/batch-scanner.ts";

const scanBatch = batchScanner();
const scanArray = arrayScanner();
const PLAIN: SegmentLimits = { ...DEFAULT_LIMITS, isUtf8 };
const BATCH = { kind: "batch" } as const;
const MUTATIONS = 40;

const event = fc.record(
  {
    type: fc.constantFrom("track", "identify", "page", "screen", "group", "alias", "other", "Track"),
    messageId: fc.oneof(fc.uuid(), fc.string(), fc.constant(7)),
    event: fc.string({ unit: "binary" }),
    properties: fc.jsonValue({ maxDepth: 4 }),
    timestamp: fc.constant("2026-01-01T00:00:00Z"),
  },
  { requiredKeys: ["type"] },
);
const body = fc.record(
  {
    batch: fc.array(event, { maxLength: 8 }),
    writeKey: fc.oneof(fc.string(), fc.integer()),
    sentAt: fc.string(),
    context: fc.jsonValue({ maxDepth: 2 }),
    integrations: fc.jsonValue({ maxDepth: 2 }),
  },
  { requiredKeys: ["batch"] },
);

/** All of a scan but the bytes, which are the input's. */
function resultOf(bytes: Buffer, limits: SegmentLimits): string {
  const scan = scanSegment(bytes, BATCH, limits);
  return JSON.stringify("refusal" in scan ? scan : { ...scan, bytes: undefined });
}

function same(bytes: Buffer, plain = PLAIN): void {
  expect(resultOf(bytes, { ...plain, scanBatch })).toBe(resultOf(bytes, plain));
}

function sameArray(bytes: Buffer, maxEvents?: number): void {
  const result = (scan?: typeof scanArray): string => {
    const framed = frame(bytes, { kind: "array" }, { allowNonFinite: false, maxEvents, scanArray: scan });
    return JSON.stringify("code" in framed ? framed : { ...framed, bytes: undefined });
  };
  expect(result(scanArray)).toBe(result());
}

const storedEvent = fc.record(
  {
    type: fc.constantFrom("track", "identify", "page", "screen", "group", "alias"),
    messageId: fc.oneof(fc.uuid(), fc.string({ minLength: 1, maxLength: 50 })),
    properties: fc.jsonValue({ maxDepth: 2 }),
  },
  { requiredKeys: ["type"] },
);
const SEED = Uint32Array.of(0x8000_0001, 2, 0xffff_ffff, 0x1234_5678);

/** What the plain ways find in the stored events of an array; `undefined`: not as many ids. */
function plainHashes(body: Uint8Array, count: number): readonly number[] | undefined {
  const ids = adapterOf("segment").eventIds?.(body) ?? [];
  if (ids.length !== count) return undefined;
  const window = new IdWindow({ windowMs: 1, maxIds: 2, seed: SEED, nowMs: 0 });
  const hashes = { scope: 0, words: new Uint32Array(HASH_WORDS * count) };
  for (const [index, id] of ids.entries()) if (id.idStart >= 0) window.hash(body, id, hashes, index);
  return [...hashes.words];
}

/** Calls `check` with the JSON of values, whole and with bytes changed. */
function checkDamaged(values: fc.Arbitrary<unknown>, check: (bytes: Buffer) => void): void {
  fc.assert(
    fc.property(values, fc.nat(3), fc.integer(), (value, indent, seed) => {
      const bytes = Buffer.from(JSON.stringify(value, undefined, indent));
      check(bytes);
      const random = new SeededRandom(seed);
      for (let mutation = 0; mutation < MUTATIONS; mutation++) {
        const changed = Buffer.from(bytes);
        const at = random.below(changed.length);
        changed[at] = random.pick([
          0x22,
          0x5c,
          0x7b,
          0x7d,
          0x5b,
          0x5d,
          0x2c,
          0x3a,
          0x20,
          0x30,
          0x2d,
          0x75,
          0x0a,
          0x00,
          random.below(128),
        ]);
        check(random.chance(0.2) ? changed.subarray(0, at) : changed);
      }
    }),
    { numRuns: 300, seed: 1 },
  );
}

test("random bodies, with white space and without, whole and with bytes changed", { timeout: 60_000 }, () => {
  checkDamaged(body, (bytes) => same(bytes));
});

test("ids of random stored events, whole and with bytes changed", { timeout: 60_000 }, () => {
  let taken = 0;
  checkDamaged(fc.array(storedEvent, { minLength: 1, maxLength: 8 }), (bytes) => {
    const body = bytes.subarray(1, -1);
    for (let count = 1; count <= 8; count++) {
      const hashes = idHasher()(body, count, SEED);
      if (hashes === undefined) continue;
      taken += 1;
      expect([...hashes]).toEqual(plainHashes(body, count));
    }
  });
  expect(taken).toBeGreaterThan(1_000);
});

test.each([1, 2, 3, 4, 5, 35, 36, 37])("an id of %d letters, beside one that is not there", (length) => {
  const body = Buffer.from(`{"type":"track"} , {"messageId":"${"abé".repeat(length).slice(0, length)}","type":"page"}`);
  const hashes = [...(idHasher()(body, 2, SEED) ?? [])];
  expect(hashes).toEqual(plainHashes(body, 2));
  expect(hashes.slice(0, HASH_WORDS)).toEqual([0, 0, 0, 0]);
  expect(idHasher()(body, 1, SEED)).toBeUndefined();
});

test("random arrays, whole and with bytes changed", { timeout: 60_000 }, () => {
  checkDamaged(fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 8 }), (bytes) => sameArray(bytes));
});

test.each([
  ["objects", '[{"kind":"custom","data":{"a":[1,"\\u00e9"]}},{}]', 2],
  ["white space everywhere", ' [ {"a" : 1 } , [ ] , "x" , 2 ] ', 4],
  ["no elements", "[]", undefined],
  ["a key with an escape", '[{"\\u0061":1}]', undefined],
  ["a comma before the end", "[{},]", undefined],
  ["no end", "[{}", undefined],
  ["something after the end", "[{}] x", undefined],
  ["an object", '{"a":[]}', undefined],
])("an array: %s", (_name, text, count) => {
  const bytes = Buffer.from(text);
  expect(scanArray(bytes)?.length).toBe(count);
  sameArray(bytes);
});

test("an array of more events than are taken is refused by both ways alike", () => {
  const bytes = Buffer.from("[{},{},{}]");
  sameArray(bytes, 2);
  sameArray(bytes, 3);
});

test.each([
  [
    "an ordinary batch",
    '{"batch":[{"type":"track","messageId":"a"},{"messageId":"b","type":"page","x":[1,{"y":"\\u00e9\\n"}]}]}',
    true,
  ],
  ["white space everywhere", ' { "batch" : [ { "type" : "track" , "messageId" : "a" } ] , "sentAt" : "t" } ', true],
  [
    "all that is beside a batch",
    '{"context":{"a":1},"integrations":{},"writeKey":"k","sentAt":"s","batch":[{"type":"alias","messageId":"1"}]}',
    true,
  ],
  [
    "the last of two equal keys",
    '{"writeKey":"a","writeKey":"b","batch":[{"type":"track","type":"page","messageId":"1","messageId":"2"}]}',
    true,
  ],
  [
    "numbers in every notation",
    '{"batch":[{"type":"group","messageId":"1","n":[0,-0,1.5,-2e9,3E+4,1e-7,12345678901234567890]}]}',
    true,
  ],
  ["an id that is not text", '{"batch":[{"type":"track","messageId":1}]}', false],
  ["an unknown type", '{"batch":[{"type":"trace","messageId":"1"}]}', false],
  ["an event without id", '{"batch":[{"type":"track"},{"messageId":"b","type":"page"},{"type":"alias"}]}', true],
  ["an empty id", '{"batch":[{"type":"track","messageId":""}]}', false],
  ["a key with an escape", '{"batch":[{"typ\\u0065":"track","messageId":"1"}]}', false],
  ["bare NaN", '{"batch":[{"type":"track","messageId":"1","n":NaN}]}', false],
  ["two batches", '{"batch":[{"type":"track","messageId":"1"}],"batch":[]}', false],
  ["no events", '{"batch":[]}', false],
  ["a number with a leading zero", '{"batch":[{"type":"track","messageId":"1","n":01}]}', false],
  ["a word cut short", '{"batch":[{"type":"track","messageId":"1","n":tru}]}', false],
  ["an unknown escape", '{"batch":[{"type":"track","messageId":"1","n":"\\x"}]}', false],
  // Found by fuzzing: with the bit for lower case set, 0x10 to 0x19 looked like digits.
  [
    "an escape with control characters for digits",
    '{"batch":[{"type":"track","messageId":"1","n":"\\u\u0010e\u00199"}]}',
    false,
  ],
  ["a half escape at the end", '{"batch":[{"type":"track","messageId":"1","n":"\\u00', false],
  ["a control character", '{"batch":[{"type":"track","messageId":"1","n":"a\tb"}]}', false],
  ["something after the end", '{"batch":[{"type":"track","messageId":"1"}]} x', false],
  ["a string that never ends", `{"batch":[{"type":"track","messageId":"${"x".repeat(100)}`, false],
])("%s", (_name, text, taken) => {
  const bytes = Buffer.from(text);
  expect(scanBatch(bytes) !== undefined).toBe(taken);
  same(bytes);
});

test("nesting as deep as the plain scanner allows, and one deeper", () => {
  for (const [depth, taken] of [
    [255, true],
    [256, true],
    [257, false],
  ] as const) {
    const bytes = Buffer.from(
      `{"batch":[{"type":"track","messageId":"1","n":${"[".repeat(depth)}${"]".repeat(depth)}}]}`,
    );
    same(bytes);
    expect(scanBatch(bytes) !== undefined).toBe(taken);
  }
});

test("limits hold, a body above its memory is left to the plain scanner, and what was scanned before leaves no trace", () => {
  const events = Array.from(
    { length: 3_000 },
    (_, index) => `{"type":"track","messageId":"m-${index}","pad":"${"x".repeat(300)}"}`,
  );
  const large = Buffer.from(`{"batch":[${events.join(",")}]}`);
  expect(large.length).toBeLessThan(1024 * 1024);
  same(large);
  for (const limits of [STRICT_LIMITS, { ...DEFAULT_LIMITS, eventMaxBytes: 50 }, { ...DEFAULT_LIMITS, maxEvents: 10 }])
    same(large, { ...limits, isUtf8 });
  const larger = Buffer.concat([large.subarray(0, -2), Buffer.from(`,${events.join(",")}]}`)]);
  expect(scanBatch(larger)).toBeUndefined();
  same(larger);
  for (const text of [
    '{"batch":[{"type":"track","messageId":"1","n":1',
    '{"batch":[{"type":"track","messageId":"1"}]}',
  ])
    same(Buffer.from(text));
});
