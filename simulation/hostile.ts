/**
 * What a stranger sends and a vendor answers in the simulation when they mean no good: made from
 * the seed.
 */
import type { SeededRandom, ServerRequest, ServerResponse } from "@waybill/testing";

/** Events are made by hand: some of their members no JSON.stringify writes. */
const TYPES = ["track", "track", "track", "identify", "page", "screen", "group", "alias", "nonsense"];
const VALUES = [
  "null",
  "[]",
  "{}",
  "[1]",
  "[null]",
  '{"toString":null}',
  '{"toString":null,"valueOf":null}',
  '{"__proto__":null}',
  '{"toJSON":null,"then":1}',
  '"constructor"',
  '""',
  '"a\\r\\nb: c"',
  '"\\u0000\\u001b[31m"',
  '"\\ud800"',
  "1e999",
  "-0",
  "123456789012345678901234567890",
  "8640000000000001",
  '"2026-13-45T99:99:99Z"',
  "true",
  "NaN",
  `${"[".repeat(40)}${"]".repeat(40)}`,
];
const MEMBERS = ["userId", "anonymousId", "event", "properties", "traits", "context", "timestamp", "integrations"];
const MORE_MEMBERS = ["groupId", "previousId", "name", "category", "__proto__", "toString", "constructor"];
/** After the number by which the simulation knows an event again. */
const ID_ENDS = ["", "-\\u00e9", "-💥", "-\\\\", '-\\"', "-__proto__", "-\\u0000", `-${"x".repeat(80)}`];
/** Ids that are none: the relay gives the event another. */
const ODD_IDS = ["null", "5", "[]", '{"toString":null}', '""'];
const CHANGES_MAX = 3;
const EVENTS_MAX = 3;
const LARGE_BYTES = 70_000;
const PADDING_BYTES = 60_000;

export interface HostileBatch {
  readonly body: string;
  readonly events: number;
}

/** Odd but valid events, `h-<number>` in their ids from `first` on. */
export function hostileBatch(random: SeededRandom, first: number): HostileBatch {
  const events = Array.from({ length: 1 + random.below(EVENTS_MAX) }, (_, index) =>
    hostileEvent(random, first + index),
  );
  const context = random.chance(0.2) ? `,"context":${random.pick(VALUES)}` : "";
  return { body: `{"batch":[${events.join(",")}]${context}}`, events: events.length };
}

/** The number of a hostile event; `undefined` for any other id. */
export function hostileNumber(id: string): number | undefined {
  const digits = /^h-(\d+)/.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function hostileEvent(random: SeededRandom, number: number): string {
  const id = random.chance(0.1) ? random.pick(ODD_IDS) : `"h-${number}${random.pick(ID_ENDS)}"`;
  const members = new Map([
    ["type", `"${random.pick(TYPES)}"`],
    ["messageId", id],
    ["userId", '"stranger"'],
    ["event", '"Odd"'],
    ["properties", `{"number":${number},"secret":"s"}`],
  ]);
  for (let left = 1 + random.below(CHANGES_MAX); left > 0; left--)
    members.set(random.pick(random.chance(0.7) ? MEMBERS : MORE_MEMBERS), random.pick(VALUES));
  const written = [...members].map(([name, value]) => `"${name}":${value}`);
  // Named twice: the last one counts, as in every parser.
  if (random.chance(0.1)) written.unshift(`"event":${random.pick(VALUES)}`);
  return `{${written.join(",")}}`;
}

const ENCODINGS = ["__proto__", "constructor", "toString", "hasOwnProperty", "zstd", "gzip, gzip", "\u0000"];
const PATHS = ["/v1/__proto__", "/s/constructor/v1/batch", "/s/web/v1/nothing", "/v1/batch/%zz", "//", "/__proto__"];
const KEYS = ["Basic !!!!", "Basic X19wcm90b19fOg==", "Bearer constructor", "Basic ", "\u0000", "é"];
const BODIES = ["", "{", "[]", "null", "NaN", '{"batch":{}}', '{"batch":[{]}', '{"batch":[1,2]}', "\u0000", "{}{}"];

/** A request of which nothing may be stored. */
export function hostileRequest(random: SeededRandom, key: string): ServerRequest {
  const fine = { method: "POST", path: "/v1/batch", headers: { authorization: key } };
  const body = Buffer.from(hostileBatch(random, 0).body);
  switch (random.below(7)) {
    case 0:
      return {
        ...fine,
        headers: { ...fine.headers, "content-encoding": random.pick(ENCODINGS) },
        body: padded(random, body),
      };
    case 1:
      return { ...fine, path: random.pick(PATHS), body };
    case 2:
      return { ...fine, headers: { authorization: random.pick(KEYS) }, body };
    case 3:
      return { ...fine, method: random.pick(["GET", "PUT", "PROPFIND", "constructor"]), body };
    case 4:
      return { ...fine, body: body.subarray(0, random.below(body.length)) };
    case 5:
      // Larger than the relay takes, and bytes that are not text.
      return { ...fine, body: Buffer.alloc(random.chance(0.5) ? LARGE_BYTES : 100, 0xff) };
    default:
      return { ...fine, body: Buffer.from(random.pick(BODIES)) };
  }
}

/** Half of them are as large as the relay takes. */
function padded(random: SeededRandom, body: Buffer): Buffer {
  return random.chance(0.5) ? body : Buffer.concat([body, Buffer.alloc(PADDING_BYTES, " ")]);
}

/** An answer that no vendor should give; `acts`: after it took what was sent. */
export interface HostileAnswer {
  readonly acts: boolean;
  readonly answer: ServerResponse;
}

const STATUSES = [0, 99, 101, 199, 600, 799, 999, 1_000_000_000, -1];
const WAITS = [
  "99999999999999999999",
  "-1",
  "NaN",
  "1e9",
  "Wed, 99 Foo 2026 99:99:99 GMT",
  "Fri, 31 Dec 9999 23:59:59 GMT",
];
const PARTIAL =
  '{"success":true,"ok":true,"rejected":[{"index":-1},{"index":1e9},{"index":0.5},{"index":"0"},{"index":null},{"index":{"toString":null}},null,5,[]]}';
const SHAPES = [
  "",
  "null",
  "[]",
  '"x"',
  "5",
  '{"rejected":[{"index":0,"co',
  '{"rejected":{"length":1e9}}',
  "<html>",
  "\u0000",
];

export function hostileAnswer(random: SeededRandom): HostileAnswer {
  const body = random.pick(SHAPES);
  switch (random.below(5)) {
    case 0:
      return { acts: random.chance(0.5), answer: { status: random.pick(STATUSES), headers: {}, body } };
    case 1:
      return { acts: true, answer: { status: 200, headers: { date: "yesterday" }, body: PARTIAL } };
    case 2:
      return { acts: true, answer: { status: 200, headers: { "content-type": "a\u0001b" }, body } };
    case 3: {
      const headers = { "retry-after": random.pick(WAITS), "x-ratelimit-reset": random.pick(WAITS) };
      return { acts: false, answer: { status: random.pick([429, 503]), headers, body } };
    }
    default:
      return {
        acts: random.chance(0.3),
        answer: {
          status: random.pick([400, 401, 404, 413, 422]),
          headers: {},
          body: '{"error":{"code":{"toString":null},"message":[1]}}',
        },
      };
  }
}
