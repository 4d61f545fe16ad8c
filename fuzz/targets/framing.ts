/** Framing: what is taken is JSON, in both scanners alike; no inbound adapter throws. */
import assert from "node:assert";
import { isUtf8 } from "node:buffer";
import { arrayScanner, batchScanner } from "@waybill/relay/headless";
import { DEFAULT_LIMITS, frame, type InboundOptions, type InboundRequest, scanSegment } from "@waybill/vendors";
import { ADAPTERS } from "@waybill/vendors/registry";
import { JSON_WORDS } from "../dictionary.ts";
import { mutate } from "../mutate.ts";
import { mutateJson } from "../mutate-json.ts";
import type { Target } from "../target.ts";

/** Deeper than any real event: refused although it is JSON. */
const DEPTH_MAX = 250;

export const REQUESTS: readonly Pick<InboundRequest, "method" | "path">[] = [
  { method: "POST", path: "/v1/batch" },
  { method: "POST", path: "/v1/track" },
  { method: "POST", path: "/v1/events" },
  { method: "POST", path: "/v1/events/batch" },
  { method: "POST", path: "/v1/identify/alias" },
  { method: "POST", path: "/v1/metrics/m/event" },
  { method: "POST", path: "/events" },
  { method: "POST", path: "/bulk" },
  { method: "POST", path: "/diagnostic" },
  { method: "POST", path: "/batch" },
  { method: "POST", path: "/capture" },
];

export const OPTIONS: InboundOptions<never> = {
  strict: false,
  isKey: () => true,
  makeId: () => "id",
  now: () => 0,
};

export const framing: Target = {
  dictionary: JSON_WORDS,
  make: (random, seeds) =>
    random.chance(0.5) ? mutate(random, seeds, JSON_WORDS) : Buffer.from(mutateJson(random, seeds.map(String))),
  open: () => ({
    run(input) {
      sameInBothScanners(input);
      if (!isUtf8(input)) return;
      framedAsParsed(input);
      takenByAdapters(input);
    },
  }),
};

function sameInBothScanners(input: Buffer): void {
  for (const route of [{ kind: "batch" }, { kind: "event", type: "track" }] as const) {
    const plain = scanSegment(input, route, { ...DEFAULT_LIMITS, isUtf8 });
    const fast = scanSegment(input, route, { ...DEFAULT_LIMITS, isUtf8, scanBatch: batchScanner() });
    assert.equal("refusal" in plain, "refusal" in fast, "both scanners agree");
    if ("refusal" in plain || "refusal" in fast) continue;
    assert.deepEqual(fast.events, plain.events);
    if (plain.nonFinite.length > 0) continue;
    JSON.parse(input.toString());
    for (const { start, end } of plain.events) JSON.parse(input.subarray(start, end).toString());
  }
}

function framedAsParsed(input: Buffer): void {
  for (const kind of [{ kind: "array" }, { kind: "object" }, { kind: "member", name: "events" }] as const) {
    const framed = frame(input, kind, { allowNonFinite: false });
    const fast = frame(input, kind, { allowNonFinite: false, scanArray: arrayScanner() });
    assert.deepEqual("code" in fast ? fast : fast.events, "code" in framed ? framed : framed.events);
    const parsed = parse(input);
    if ("code" in framed) {
      const isRefusedRightly = parsed === undefined || framed.code === "wrong_shape" || isDeep(input);
      assert.ok(isRefusedRightly, "valid JSON of the right shape is taken");
      continue;
    }
    assert.notEqual(parsed, undefined, "what is taken is JSON");
    for (const { start, end } of framed.events) JSON.parse(input.subarray(start, end).toString());
  }
}

function takenByAdapters(input: Buffer): void {
  for (const { inbound } of ADAPTERS)
    for (const request of REQUESTS) {
      const taken = inbound.match(request.path)?.take(input, { ...request, query: "", headers: {} }, OPTIONS);
      if (taken === undefined || !("parts" in taken)) continue;
      for (const { events } of taken.parts) {
        const body = Buffer.concat(events.body);
        assert.equal(body.length, events.ends.at(-1) ?? 0, "the table ends where the body does");
        JSON.parse(`[${body.toString()}]`);
      }
    }
}

function parse(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString());
  } catch {
    return undefined;
  }
}

function isDeep(input: Buffer): boolean {
  let depth = 0;
  let deepest = 0;
  for (const byte of input) {
    if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return deepest > DEPTH_MAX;
}
