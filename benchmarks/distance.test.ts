/** What the scenarios of distance and poison rely on: their events, their vendors, their checks. */
import { isFinal, TextBatch, type Verdict } from "@waybill/core";
import { emulators } from "@waybill/testing";
import { adapterOf, type Vendor, type VendorAdapter } from "@waybill/vendors/registry";
import { describe, expect, test } from "vitest";
import { Arrivals } from "./lib/arrivals.ts";
import { kindIn, type Mark, Marks, markMember, mixed } from "./lib/marks.ts";
import { OfferedMarks } from "./lib/offering.ts";
import { BENCH_VENDORS, type BenchVendor, VENDOR_EVENTS } from "./lib/vendor-events.ts";

import { FULL as DISTANCE, failed as distanceFailed, withFlags as distanceWith } from "./scenarios/distance.ts";
import { FULL, failed as poisonFailed, withFlags as poisonWith, QUICK } from "./scenarios/poison.ts";

const EVENTS = 3;
const vendors = BENCH_VENDORS.filter((vendor): vendor is Exclude<BenchVendor, "http"> => vendor !== "http");
const encoder = new TextEncoder();

/** A request as the vendor's client sends it to the relay. */
interface Sent {
  readonly body: (events: readonly string[]) => string;
  readonly headers?: Readonly<Record<string, string>>;
}

const listed = (front: string): Sent => ({ body: (events) => `${front}[${events.join(",")}]}` });
const SENT: Readonly<Record<Vendor, Sent>> = {
  segment: listed('{"batch":'),
  posthog: listed('{"api_key":"bench","batch":'),
  launchdarkly: { body: (events) => `[${events.join(",")}]`, headers: { "x-launchdarkly-event-schema": "4" } },
  getfluxly: listed('{"events":'),
  letter: listed('{"batch":'),
  trophy: {
    body: ([event = ""]) => /,"body":(.*)\}$/.exec(event)?.[1] ?? "",
    headers: { "idempotency-key": "01a1fbe8-3ed8-4000-8000-000000000000" },
  },
  valued: { body: ([event = ""]) => event },
  amplitude: listed('{"api_key":"bench","events":'),
  mixpanel: {
    body: (events) => `[${events.join(",")}]`,
    headers: { authorization: `Basic ${Buffer.from("bench:").toString("base64")}` },
  },
};

const EMULATORS: Readonly<Record<Vendor, () => emulators.VendorEmulator>> = {
  segment: () => new emulators.SegmentEmulator(),
  posthog: () => new emulators.PosthogEmulator(),
  launchdarkly: () => new emulators.LaunchDarklyEmulator(),
  getfluxly: () => new emulators.GetFluxlyEmulator(),
  letter: () => new emulators.LetterEmulator(),
  trophy: () => new emulators.TrophyEmulator({ eventAttributes: ["mark", "note"] }),
  valued: () => new emulators.ValuedEmulator(),
  amplitude: () => new emulators.AmplitudeEmulator(),
  mixpanel: () => new emulators.MixpanelEmulator(),
};

function eventsOf(vendor: BenchVendor): readonly string[] {
  const { perRequest, event } = VENDOR_EVENTS[vendor];
  return Array.from({ length: Math.min(EVENTS, perRequest) }, (_, ordinal) => event({ ordinal, user: ordinal + 7 }));
}

describe.for(vendors)("%s", (vendor) => {
  const { path, metadata, answer } = VENDOR_EVENTS[vendor];
  const adapter = adapterOf(vendor) as VendorAdapter;
  const events = eventsOf(vendor);
  const batch = new TextBatch({
    key: "key",
    metadata,
    oldestAtMs: 0,
    texts: events,
    sizes: events.map((text) => text.length),
  });
  const protocol = adapter.outbound(
    { writeKey: "gflux_bench", url: "http://vendor" },
    { library: { name: "bench", version: "1" }, strict: false },
  );
  const request = protocol.request(batch, 0);
  const body = Buffer.concat(request.body.map((chunk) => Buffer.from(chunk as string)));

  test("the relay stores what the prepared log has", () => {
    const { body: bodyOf, headers = {} } = SENT[vendor];
    const taken = adapter.inbound
      .match(path)
      ?.take(
        encoder.encode(bodyOf(events)),
        { method: "POST", path, query: "", headers },
        { strict: false, isKey: () => true, makeId: () => "made", now: () => 0 },
      );
    if (taken === undefined || !("parts" in taken)) throw new Error(JSON.stringify(taken));
    expect(taken.parts.map((part) => part.metadata)).toEqual([metadata]);
    const [part] = taken.parts;
    expect(Buffer.concat([...(part?.events.body ?? [])]).toString()).toBe(events.join(","));
  });

  test("the vendor finds the mark of each event", () => {
    const marks = new Marks();
    marks.read(body);
    expect(marks.count).toBe(events.length);
    expect([...marks.users.subarray(0, marks.count)]).toEqual(events.map((_, index) => index + 7));
  });

  test("the vendor answers as its emulator does, and all events are delivered by it", async () => {
    const { status, body: text } = answer({
      events: events.length,
      bytes: body.length,
      idempotencyKey: request.headers["idempotency-key"],
    });
    const { method, url, headers } = request;
    const path = url.slice("http://vendor".length);
    const emulated = await EMULATORS[vendor]().handle({ method, path, headers, body });
    expect([status, keysIn(text)]).toEqual([emulated.status, keysIn(emulated.body)]);
    const verdict = protocol.classify({ status, headers: {}, body: text }, batch, 0) as Exclude<
      Verdict,
      { split: true }
    >;
    expect(verdict.map((outcome) => [outcome.status, isFinal(outcome)])).toEqual(events.map(() => ["delivered", true]));
  });
});

function keysIn(text: string): readonly string[] {
  return text === "" ? [] : Object.keys(JSON.parse(text) as object).sort();
}

describe("marks", () => {
  test("are read as they were written", () => {
    const marks = new Marks();
    const written: readonly Mark[] = [
      { user: 0, ordinal: 0 },
      { user: 99_999, ordinal: 99_999_999, sentAtMs: 1_795_219_200_123, kind: "p" },
      { user: 42, ordinal: 17, sentAtMs: 5, kind: "s" },
    ];
    marks.read(Buffer.from(written.map((mark) => `{${markMember(mark)}}`).join(",")));
    const read = written.map((_, index) => ({
      user: marks.users[index],
      ordinal: marks.ordinals[index],
      sentAtMs: marks.sentAtMs[index],
      kind: String.fromCharCode(marks.kinds[index] as number),
    }));
    expect(read).toEqual(written.map((mark) => ({ sentAtMs: 0, kind: "n", ...mark })));
    expect([marks.count, marks.poisonous]).toEqual([3, 1]);
    expect(written.map((mark) => kindIn(markMember(mark)))).toEqual(["n", "p", "s"]);
  });

  test("are of users who have about as many events each, some of them close together", () => {
    const users = Array.from({ length: 100_000 }, (_, ordinal) => mixed(ordinal) % 1_000);
    const counts = new Map<number, number>();
    for (const user of users) counts.set(user, (counts.get(user) ?? 0) + 1);
    expect(counts.size).toBe(1_000);
    expect(Math.min(...counts.values())).toBeGreaterThan(50);
    expect(Math.max(...counts.values())).toBeLessThan(150);
    expect(new Set(users.slice(0, 64)).size).toBeLessThan(64);
  });

  test("are found in a request with more than one has room for at first", () => {
    const marks = new Marks();
    const text = Array.from({ length: 40_000 }, (_, ordinal) => markMember({ user: 1, ordinal })).join(",");
    marks.read(Buffer.from(text));
    expect([marks.count, marks.ordinals[39_999]]).toEqual([40_000, 39_999]);
  });
});

describe("arrivals", () => {
  const body = (...marks: readonly (readonly [user: number, ordinal: number])[]): Buffer =>
    Buffer.from(marks.map(([user, ordinal]) => markMember({ user, ordinal })).join(","));
  const report = (arrivals: Arrivals): readonly number[] => {
    const { events, duplicates, orderViolations, inFlight } = arrivals.report();
    return [events, duplicates, orderViolations, inFlight];
  };
  /** Requests one after another; each is answered before the next one. */
  function afterOneAnother(...requests: readonly Buffer[]): readonly number[] {
    const arrivals = new Arrivals();
    for (const request of requests) arrivals.answered(arrivals.arrive(request, 0), 0);
    return report(arrivals);
  }

  test("in order are all there, without a fault", () => {
    expect(afterOneAnother(body([1, 0], [2, 1], [1, 2]), body([2, 3], [1, 4]))).toEqual([5, 0, 0, 1]);
  });

  test("of which one is lost are fewer, and nobody is out of order", () => {
    expect(afterOneAnother(body([1, 0]), body([1, 2]))).toEqual([2, 0, 0, 1]);
  });

  test("that come again are duplicates, and not out of order", () => {
    expect(afterOneAnother(body([1, 0], [1, 1]), body([1, 0], [1, 1]), body([1, 2]))).toEqual([3, 2, 0, 1]);
  });

  test("after a later event of their user are out of order, in one request too", () => {
    expect(afterOneAnother(body([1, 1]), body([1, 0]))).toEqual([2, 0, 1, 1]);
    expect(afterOneAnother(body([1, 1], [1, 0]))).toEqual([2, 0, 1, 1]);
  });

  test("after a later event of another user are in order", () => {
    expect(afterOneAnother(body([1, 1]), body([2, 0]))).toEqual([2, 0, 0, 1]);
  });

  test("of a user who has an event in a request that is not answered are out of order", () => {
    const arrivals = new Arrivals();
    const first = arrivals.arrive(body([1, 0], [2, 1]), 0);
    const second = arrivals.arrive(body([1, 2], [1, 3], [3, 4]), 0);
    expect(report(arrivals)).toEqual([5, 0, 2, 2]);
    arrivals.answered(first, 0);
    arrivals.answered(second, 0);
    arrivals.answered(arrivals.arrive(body([1, 5], [2, 6], [3, 7]), 0), 0);
    expect(report(arrivals)).toEqual([8, 0, 2, 2]);
  });

  test("are still in flight while one of two requests with their user is not answered", () => {
    const arrivals = new Arrivals();
    arrivals.arrive(body([1, 0]), 0);
    const again = arrivals.arrive(body([1, 0]), 0);
    arrivals.answered(again, 0);
    arrivals.answered(again, 0);
    arrivals.arrive(body([1, 1]), 0);
    expect(report(arrivals)).toEqual([2, 1, 1, 2]);
    expect(arrivals.report().open).toBe(2);
  });

  test("of a refused request have not arrived: a later event that passes them is out of order with them", () => {
    const arrivals = new Arrivals();
    arrivals.answered(
      arrivals.arrive(body([1, 0]), 0, () => false),
      0,
    );
    arrivals.answered(arrivals.arrive(body([1, 1]), 0), 0);
    expect(report(arrivals)).toEqual([1, 0, 0, 1]);
    arrivals.answered(arrivals.arrive(body([1, 0]), 0), 0);
    expect(report(arrivals)).toEqual([2, 0, 1, 1]);
  });

  test("that are poisonous are counted before the vendor takes them or refuses", () => {
    const arrivals = new Arrivals();
    const poisonous = Buffer.from(markMember({ user: 1, ordinal: 0, kind: "p" }));
    const seen: number[] = [];
    const { isTaken } = arrivals.arrive(poisonous, 0, (count) => {
      seen.push(count);
      return count === 0;
    });
    expect([isTaken, seen, arrivals.report().events]).toEqual([false, [1], 0]);
  });

  test("have the longest delay of those who have no poisonous event, and were sent in time", () => {
    const arrivals = new Arrivals();
    const one = (ordinal: number, sentAtMs: number, kind: "n" | "s"): Buffer =>
      Buffer.from(markMember({ user: ordinal, ordinal, sentAtMs, kind }));
    arrivals.delaysUntilMs = 2_000;
    arrivals.arrive(one(0, 1_000, "n"), 1_300);
    arrivals.arrive(one(1, 1_000, "s"), 1_900);
    arrivals.arrive(one(2, 2_000, "n"), 2_900);
    expect(arrivals.report()).toMatchObject({ longestDelayMs: 300, events: 3, others: 2 });
    arrivals.arrive(one(3, 1_999, "n"), 2_999);
    expect(arrivals.report().longestDelayMs).toBe(1_000);
  });

  test("grow beyond the ordinals there is room for at first", () => {
    const arrivals = new Arrivals();
    arrivals.arrive(body([1, 500_000]), 0);
    arrivals.arrive(body([2, 500_000], [2, 40_000_000]), 0);
    expect(report(arrivals)).toEqual([2, 1, 0, 2]);
  });

  test("have the times of the first request and of the last answer", () => {
    const arrivals = new Arrivals();
    const first = arrivals.arrive(body([1, 0]), 10);
    const second = arrivals.arrive(body([2, 1]), 11);
    arrivals.answered(second, 20);
    arrivals.answered(first, 30);
    expect(arrivals.report()).toMatchObject({ firstAtMs: 10, lastAtMs: 30, requests: 2, open: 0, inFlight: 2 });
  });
});

describe("what is offered", () => {
  test("has one poisonous event in a thousand, each of another user", () => {
    const offered = new OfferedMarks(1_000);
    offered.poisoned(true);
    const marks = Array.from({ length: 50_000 }, () => offered.next(1));
    const poisonous = marks.filter(({ kind }) => kind === "p");
    expect([offered.events, offered.poison, poisonous.length]).toEqual([50_000, 50, 50]);
    expect(new Set(poisonous.map(({ user }) => user)).size).toBe(50);
    expect(marks.map(({ ordinal }) => ordinal)).toEqual(marks.map((_, index) => index));
    const suspects = new Set(marks.filter(({ kind }) => kind !== "n").map(({ user }) => user));
    const others = marks.filter(({ kind }) => kind === "n");
    expect(others.some(({ user }) => suspects.has(user))).toBe(false);
    expect(others.length).toBe(offered.others);
  });

  test("has no poison before it is wanted, the first at once, and none afterwards", () => {
    const offered = new OfferedMarks(1_000);
    const kinds = (count: number): string => Array.from({ length: count }, () => offered.next(1).kind).join("");
    expect(kinds(1_500)).not.toContain("p");
    offered.poisoned(true);
    expect(kinds(1_500).match(/p/g)).toHaveLength(2);
    offered.poisoned(false);
    expect(kinds(5_000)).not.toContain("p");
    offered.poisoned(true);
    expect(kinds(1)).toBe("p");
  });
});

describe("the scenarios fail", () => {
  test.for([
    ["nothing", {}, {}, false],
    ["a healthy event that is lost", { delivered: 98 }, {}, true],
    ["a poisonous event that is delivered", { delivered: 100 }, {}, true],
    ["a poisonous event that is not given up", { deadLettered: 0 }, {}, true],
    ["another event that is given up", { wrongly: 1 }, {}, true],
    ["others who wait longer than five seconds", { longestDelayOfOthersMs: 5_001 }, {}, true],
    ["an event that is given up in the outage", {}, { givenUpInOutage: 1 }, true],
    ["an event out of order", {}, { orderViolations: 1 }, true],
  ] as const)("poison: for %s", ([_name, row, whole, isFailed]) => {
    const fine = { events: 100, poison: 1, delivered: 99, deadLettered: 1, wrongly: 0, longestDelayOfOthersMs: 5_000 };
    const result = { scenario: "poison", outageMs: 1, givenUpInOutage: 0, orderViolations: 0 } as const;
    expect(poisonFailed({ ...result, ...whole, rows: [{ vendor: "letter", ...fine, ...row }] })).toBe(isFailed);
  });

  test("distance: for losses and for events out of order", () => {
    const fine = { scenario: "distance", roundTripMs: 100, lost: 0, orderViolations: 0, rows: [] } as const;
    const failed = [fine, { ...fine, lost: 1 }, { ...fine, orderViolations: 1 }].map(distanceFailed);
    expect(failed).toEqual([false, true, true]);
  });

  test("distance: flags choose one row and a size, and wrong ones are refused", () => {
    const chosen = distanceWith(DISTANCE, { only: "letter", events: "500" });
    expect([chosen?.rows, chosen?.events("letter"), chosen?.publish]).toEqual([["letter"], 500, false]);
    expect(distanceWith(DISTANCE, {})).toEqual(DISTANCE);
    expect(distanceWith(DISTANCE, { checkout: "/base" })).toMatchObject({
      checkout: "/base",
      publish: false,
    });
    expect(distanceWith(DISTANCE, { only: "letter,http" })?.rows).toEqual(["letter", "http"]);
    expect(distanceWith(DISTANCE, { only: "letter,nobody" })).toBeUndefined();
    expect(distanceWith(DISTANCE, { events: "-1" })).toBeUndefined();
  });

  test("poison: flags change the times, and wrong ones are refused", () => {
    const chosen = poisonWith(FULL, { "give-up-after": "20s" });
    expect(chosen).toEqual({ giveUpAfterMs: 20_000, isPoisoned: true, publish: false });
    expect(poisonWith(QUICK, { "no-poison": true })?.isPoisoned).toBe(false);
    expect(poisonWith(FULL, { "give-up-after": "soon" })).toBeUndefined();
    expect(poisonWith(FULL, { "give-up-after": "0s" })).toBeUndefined();
  });
});
