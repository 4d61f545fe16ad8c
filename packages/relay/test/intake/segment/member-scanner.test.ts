/** Whose stored events are, found by the fast scanner: as the plain reader finds it. */
import { SeededRandom } from "@waybill/testing";
import { type OrderRecord, orderHashesOf, partitionKeysOf, VENDORS } from "@waybill/vendors/registry";
import fc from "fast-check";
import { expect, test } from "vitest";
import { memberScanner } from "../../../src/intake/segment/batch-scanner.ts";

const scan = memberScanner();
const MUTATIONS = 20;
/** As of Segment's order table. */
const NAMES = ["userId", "anonymousId", "type", "previousId"];

const id = fc.oneof(
  fc.uuid(),
  fc.string({ unit: "binary" }),
  fc.constantFrom("a", "b", "", "\\", '"', "\u00e9", "\ud83d\ude00"),
  fc.integer(),
  fc.constantFrom(null, true, 1.5),
  fc.jsonValue({ maxDepth: 2 }),
);
const event = fc.record(
  {
    type: fc.constantFrom("track", "identify", "alias", "other", 7),
    userId: id,
    anonymousId: id,
    previousId: id,
    messageId: fc.uuid(),
    userIds: fc.string(),
    properties: fc.jsonValue({ maxDepth: 3 }),
    traits: fc.record({ userId: id }),
  },
  { requiredKeys: [] },
);
/** An event as it may be written: with white space, keys with escapes, members twice. */
const written = fc
  .tuple(event, fc.constantFrom(undefined, 1, "\t"), fc.constantFrom("", " ", "\n"), fc.nat(20), fc.json())
  .map(([value, indent, space, odd, json]) => {
    const text = JSON.stringify(value, undefined, indent);
    if (odd === 1) return `${space}${text.replace('"userId"', '"\\u0075serId"')}${space}`;
    if (odd === 2) return `${space}{"userId":"first",${text.slice(1).replace(/^\s*\}/, '"x":1}')}`;
    if (odd === 3) return json;
    return `${space}${text}${space}`;
  });

function recordOf(events: readonly string[], metadata = ""): OrderRecord {
  let end = -1;
  const ends = Uint32Array.from(events, (text) => (end += 1 + Buffer.byteLength(text)));
  return { body: Buffer.from(events.join(",")), ends, metadata };
}

function same(record: OrderRecord): void {
  const fast = orderHashesOf(record, scan);
  const plain = orderHashesOf(record);
  expect([[...fast.hashes], fast.ties && [...fast.ties]]).toEqual([[...plain.hashes], plain.ties && [...plain.ties]]);
  expect([...partitionKeysOf(record, scan)]).toEqual([...partitionKeysOf(record)]);
}

test("random events, whole, with bytes changed and with other ends", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 8 }), fc.integer(), (events, seed) => {
      const record = recordOf(events);
      same(record);
      const random = new SeededRandom(seed);
      for (let mutation = 0; mutation < MUTATIONS; mutation++) {
        const body = Buffer.from(record.body);
        body[random.below(body.length)] = random.pick([
          0x22,
          0x5c,
          0x7b,
          0x7d,
          0x2c,
          0x3a,
          0x20,
          0x75,
          random.below(128),
        ]);
        same({ ...record, body });
        const ends = record.ends.slice();
        const at = random.below(ends.length);
        ends[at] = Math.max(0, (ends[at] as number) + random.below(5) - 2);
        same({ ...record, ends });
      }
    }),
    { numRuns: 300, seed: 1 },
  );
});

test.each([
  ["an ordinary event", ['{"type":"track","userId":"u","anonymousId":"a"}']],
  ["white space everywhere", [' { "userId" : "u" } ']],
  ["a member twice: the last one", ['{"userId":"a","userId":"b"}']],
])("%s is taken", (_name, events) => {
  expect(scan(recordOf(events), NAMES)).toBeDefined();
  same(recordOf(events));
});

test("places are those of the values, by event and name, -1 for what an event has not", () => {
  const record = recordOf(['{"userId":"u","type":"track"}', "{}", '{"previousId":1}']);
  const found = scan(record, NAMES);
  const texts = Array.from({ length: 3 * NAMES.length }, (_, at) => {
    const [start = -1, end = -1] = found?.slice(2 * at, 2 * at + 2) ?? [];
    return start < 0 ? end : Buffer.from(record.body).toString("utf8", start, end);
  });
  expect(texts).toEqual(['"u"', -1, '"track"', -1, -1, -1, -1, -1, -1, -1, -1, "1"]);
});

test.each([
  ["a key with an escape", ['{"\\u0075serId":"u"}']],
  ["no object", ["[]"]],
  ["no JSON", ['{"userId":}']],
  ["an event that does not end", ['{"userId":"u"']],
])("%s is left to the plain reader", (_name, events) => {
  expect(scan(recordOf(events), NAMES)).toBeUndefined();
  same(recordOf(events));
});

test("other names after others", () => {
  const record = recordOf(['{"a":1,"bb":2}']);
  expect([...(scan(record, ["a", "bb"]) ?? [])]).toEqual([5, 6, 12, 13]);
  expect([...(scan(record, ["bb"]) ?? [])]).toEqual([12, 13]);
  expect([...(scan(record, ["aa", "b", "a"]) ?? [])]).toEqual([-1, -1, -1, -1, 5, 6]);
});

test("what is too large is left to the plain reader", () => {
  const large = recordOf([`{"userId":"${"u".repeat(1024 * 1024)}"}`]);
  expect(scan(large, NAMES)).toBeUndefined();
  same(large);
  const many = recordOf(Array<string>(20_001).fill("{}"));
  expect(scan(many, NAMES)).toBeUndefined();
  expect(scan(recordOf(["{}"]), ["a", "b", "c", "d", "e"])).toBeUndefined();
});

test("of every vendor the same events are the same persons'", () => {
  const events = ['{"userId":"u","distinct_id":"d","user":{"id":"x"}}', '{"userId":"v"}', '{"anonymousId":"a"}'];
  for (const vendor of VENDORS) same(recordOf(events, `${vendor} {}`));
});
