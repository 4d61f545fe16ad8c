import type { InboundAnswer, InboundOptions, InboundPart, InboundRequest, Taken } from "@waybill/vendors";
import { REFUSAL_STATUS, vendorOf } from "@waybill/vendors";
import { orderHash, orderHashesOf, orderKeyOf, type VendorAdapter } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import { SeededRandom } from "../seeded-random.ts";

/** An event as a client of the vendor sends it. */
export interface InboundEvent {
  readonly id: string;
  readonly user: string;
}

/** A request of a vendor's client. */
export interface InboundCase {
  readonly method?: string;
  readonly path: string;
  readonly query?: string;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface InboundUnderTest {
  readonly adapter: VendorAdapter;
  /** A request with these events under this key; without a key where it is "". */
  request(events: readonly InboundEvent[], key: string): InboundCase;
  /** How many events a request may have at most. Default: several. */
  readonly single?: true;
  /** Where the id of an event is: in the event (default), beside it in the request, or nowhere. */
  readonly ids?: "event" | "request" | "none";
  /** Statuses of refusals for which the vendor has one of its own. */
  readonly statuses?: Partial<typeof REFUSAL_STATUS>;
  /** Methods that the path does not take. Default: PATCH. */
  readonly wrongMethod?: string;
}

const KEY = "right-key";
const EVENTS: readonly InboundEvent[] = [
  { id: "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa", user: "user-1" },
  { id: "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1ab", user: "user-2" },
  { id: "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1ac", user: "user-1" },
];
const DAMAGED_BODIES = 400;
/** Paths that a table of plain objects would know. */
const PROTOTYPE_NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty"];
const NOW_MS = 1_767_225_600_000;

/** The contract of a vendor's inbound adapter: a new one passes by this call. */
export function testInbound(name: string, vendor: InboundUnderTest): void {
  testTaking(name, vendor);
  testOrder(name, vendor);
  testIds(name, vendor);
  testRefusing(name, vendor);
  testHostileBodies(name, vendor);
}

function testTaking(name: string, vendor: InboundUnderTest): void {
  const { adapter } = vendor;
  const events = eventsFor(vendor);

  test(`${name}: takes what its clients send, in its order, each event as JSON in its own wire format`, () => {
    const { parts, answer } = taken(vendor, vendor.request(events, KEY));
    const stored = parts.flatMap((part) => textsOf(part).map((text) => ({ text, metadata: part.metadata })));
    expect(stored.map(({ text, metadata }) => orderKeyOf(text, metadata))).toEqual(events.map(({ user }) => user));
    for (const { text, metadata } of stored) {
      expect(vendorOf(metadata)).toBe(adapter.name);
      expect(adapter.toCanonical(text, metadata)).toMatchObject({ type: expect.any(String) as string });
    }
    expect(answer(0).status).toBeGreaterThanOrEqual(200);
    expect(answer(0).status).toBeLessThan(300);
  });

  test(`${name}: knows the key of a request, and says where it belongs`, () => {
    const keys = (key: string): readonly (string | undefined)[] => {
      const asked = vendor.request(events, key);
      const request = requestOf(asked);
      const route = adapter.inbound.match(asked.path);
      const inHead = route?.key ?? adapter.inbound.key(request);
      if (inHead !== undefined) return [inHead];
      const read = take(vendor, asked, { isKey: () => true, keyless: true });
      return "parts" in read ? read.parts.map((part) => part.key) : [];
    };
    expect(new Set(keys(KEY))).toEqual(new Set([KEY]));
    expect([undefined, ""]).toContain(keys("")[0]);
    expect(adapter.inbound.keyPlace).not.toBe("");
  });
}

function testOrder(name: string, vendor: InboundUnderTest): void {
  const events = eventsFor(vendor);

  test(`${name}: whose its events are is read in the bytes of a record`, () => {
    const hashes = taken(vendor, vendor.request(events, KEY)).parts.flatMap((part) => {
      const read = orderHashesOf({ body: bodyOf(part), ends: part.events.ends, metadata: part.metadata });
      expect(read.ties).toBeUndefined();
      return [...read.hashes];
    });
    expect(hashes).toEqual(events.map(({ user }) => orderHash(user)));
  });
}

/** The id of each event, or none. */
function idsOfPart({ ids, idPrefix, events }: InboundPart): readonly string[] {
  return idPrefix === undefined ? ids : Array.from(events.ends, (_end, index) => `${idPrefix} ${index}`);
}

function testIds(name: string, vendor: InboundUnderTest): void {
  const { adapter, ids = "event" } = vendor;
  const events = eventsFor(vendor);

  test(`${name}: ${ids === "none" ? "has no ids by which a duplicate is known" : "the same request has the same ids again, each event its own"}`, () => {
    const idsOf = (): readonly string[] =>
      taken(vendor, vendor.request(events, KEY))
        .parts.flatMap(idsOfPart)
        .filter((id) => id !== "");
    expect(idsOf()).toEqual(idsOf());
    expect(new Set(idsOf()).size).toBe(ids === "none" ? 0 : events.length);
  });

  test(`${name}: ids that are in the log are found there, as they were taken`, () => {
    for (const part of taken(vendor, vendor.request(events, KEY)).parts) {
      const body = bodyOf(part);
      const found = adapter.eventIds?.(body) ?? [];
      expect(adapter.eventIds !== undefined).toBe(ids === "event");
      if (ids === "event")
        expect(found.map(({ bytes = body, idStart, idEnd }) => text(Buffer.from(bytes), idStart, idEnd))).toEqual(
          idsOfPart(part),
        );
    }
  });
}

function testRefusing(name: string, vendor: InboundUnderTest): void {
  const { adapter } = vendor;
  const asked = vendor.request(eventsFor(vendor), KEY);
  const request = requestOf(asked);

  test(`${name}: has the vendor's own answer for each refusal`, () => {
    for (const kind of Object.keys(REFUSAL_STATUS) as (keyof typeof REFUSAL_STATUS)[]) {
      const answer = adapter.inbound.refuse({ kind, message: "no", retryAfterS: 1 }, request);
      expect(answer.status, kind).toBe(vendor.statuses?.[kind] ?? REFUSAL_STATUS[kind]);
      expectReadable(answer);
    }
  });

  test(`${name}: takes no other method, and no path of a prototype's name`, () => {
    expect(adapter.inbound.match(asked.path)?.methods).toContain(asked.method ?? "POST");
    expect(adapter.inbound.match(asked.path)?.methods).not.toContain(vendor.wrongMethod ?? "PATCH");
    for (const one of PROTOTYPE_NAMES)
      for (const path of [`/${one}`, `/v1/${one}`]) expect(adapter.inbound.match(path), path).toBeUndefined();
  });

  test(`${name}: refuses what is not JSON, and more events than it may take`, () => {
    for (const body of ["", "{", "[1,", "no", `${asked.body}x`, asked.body.slice(0, -1)])
      expect(take(vendor, { ...asked, body }), body).toHaveProperty("refusal");
    if (vendor.single !== true)
      expect(take(vendor, asked, { maxEvents: 1 })).toMatchObject({ refusal: { kind: "too_large" } });
  });

  test(`${name}: its limits are numbers above zero`, () => {
    const { bodyMaxBytes, maxEvents } = adapter.inbound.limits;
    expect(Math.min(bodyMaxBytes, maxEvents)).toBeGreaterThan(0);
    expect(vendor.single === true ? maxEvents : 1).toBe(1);
  });
}

function testHostileBodies(name: string, vendor: InboundUnderTest): void {
  const asked = vendor.request(eventsFor(vendor), KEY);

  test(`${name}: no body makes it throw, and what it takes of a damaged one is JSON`, () => {
    const random = new SeededRandom(12);
    for (let round = 0; round < DAMAGED_BODIES; round++) {
      const body = damaged(Buffer.from(asked.body), random);
      if (!isUtf8(body)) continue;
      const read = take(vendor, { ...asked, body: body.toString() }, { keyless: round % 2 === 0, isKey: () => true });
      if ("parts" in read) for (const part of read.parts) textsOf(part).map((one) => JSON.parse(one) as unknown);
    }
  });

  test(`${name}: a body as large as it may be is read without harm, whatever is in it`, () => {
    const { bodyMaxBytes } = vendor.adapter.inbound.limits;
    for (const piece of ["[", '{"a":', "[],", '"\\u0041",', "9"])
      take(vendor, { ...asked, body: piece.repeat(Math.floor(bodyMaxBytes / piece.length)) });
    const filler = `"${"x".repeat(bodyMaxBytes)}"`;
    take(vendor, { ...asked, body: asked.body.replace(/"[^"]*"/, filler) });
  });
}

function eventsFor({ single }: InboundUnderTest): readonly InboundEvent[] {
  return single === true ? EVENTS.slice(0, 1) : EVENTS;
}

function requestOf({ method = "POST", path, query = "", headers = {} }: InboundCase): InboundRequest {
  return { method, path, query, headers };
}

function take(vendor: InboundUnderTest, asked: InboundCase, more: Partial<InboundOptions> = {}): Taken {
  const route = vendor.adapter.inbound.match(asked.path);
  if (route === undefined) throw new Error(`there is no path ${asked.path}`);
  return route.take(Buffer.from(asked.body), requestOf(asked), {
    strict: false,
    isKey: (key) => key === KEY,
    makeId: (seed) => `made ${seed ?? ""}`,
    now: () => NOW_MS,
    ...more,
  });
}

function taken(vendor: InboundUnderTest, asked: InboundCase): Extract<Taken, { readonly parts: unknown }> {
  const read = take(vendor, asked);
  if (!("parts" in read)) throw new Error(`nothing is taken: ${JSON.stringify(read)}`);
  return read;
}

function bodyOf({ events }: InboundPart): Buffer {
  const body = Buffer.concat(events.body);
  expect(events.ends.at(-1) ?? 0).toBe(body.length);
  return body;
}

function textsOf(part: InboundPart): readonly string[] {
  const body = bodyOf(part);
  const { ends } = part.events;
  return Array.from(ends, (end, index) => text(body, index === 0 ? 0 : (ends[index - 1] as number) + 1, end).trim());
}

function text(body: Buffer, start: number, end: number): string {
  return body.toString("utf8", start, end);
}

function isUtf8(body: Buffer): boolean {
  return Buffer.from(body.toString()).equals(body);
}

/** With some of its bytes changed, cut out or doubled. */
function damaged(body: Buffer, random: SeededRandom): Buffer {
  const at = random.below(body.length);
  const length = random.below(Math.min(16, body.length - at) + 1);
  const [before, middle, after] = [body.subarray(0, at), body.subarray(at, at + length), body.subarray(at + length)];
  switch (random.below(4)) {
    case 0:
      return Buffer.concat([before, after]);
    case 1:
      return Buffer.concat([before, middle, middle, after]);
    case 2:
      return Buffer.concat([before, Buffer.from('null,{}[]":\\"'.slice(random.below(9))), after]);
    default:
      return Buffer.concat([before, Buffer.from([1 + random.below(126)]), after]);
  }
}

/** A refusal is text or JSON, never a page. */
function expectReadable({ body, headers = {} }: InboundAnswer): void {
  const type = headers["content-type"] ?? "";
  expect(type).not.toContain("html");
  if (type.includes("json")) expect(typeof JSON.parse(body)).toBe("object");
}
