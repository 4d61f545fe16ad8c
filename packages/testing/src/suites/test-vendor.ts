import {
  type Batch,
  createSender,
  fullJitter,
  type Outcome,
  type Protocol,
  type SendContext,
  TextBatch,
} from "@waybill/core";
import type { VendorAdapter } from "@waybill/vendors/registry";
import { expect, test } from "vitest";
import type { EmulatorFailure } from "../emulators/emulator.ts";
import { SeededRandom } from "../seeded-random.ts";
import type { ServerHandler } from "../server.ts";
import { SimNetwork } from "../sim-network.ts";
import { VirtualClock } from "../virtual-clock.ts";

/** A vendor's emulator as the suite needs it. */
export interface EmulatorUnderTest {
  readonly handle: ServerHandler;
  fail(failure: EmulatorFailure): void;
  /** Ids of what it took, in order. */
  ids(): readonly string[];
}

export interface VendorUnderTest {
  readonly adapter?: VendorAdapter;
  readonly origin: string;
  /** Default: that of the adapter, which delivers to `url`. */
  protocol?(writeKey: string): Protocol;
  /** Where the adapter delivers to. Default: `origin`. */
  readonly url?: string;
  /** Of the events. Default: none. */
  readonly metadata?: string;
  /** Takes the key `right` alone. */
  emulator(clock: VirtualClock): EmulatorUnderTest;
  /** An event with this id and about this many bytes. */
  event(messageId: string, bytes?: number): string;
  /** What the vendor refuses. Default: a text that is not JSON. */
  readonly malformed?: string;
  /** Whether the vendor knows a duplicate. Default true. */
  readonly dedupes?: boolean;
  /** Whether events arrive in the order of the batch. Default true. */
  readonly ordered?: boolean;
}

/** The contract of a vendor's outbound protocol, against its emulator. */
export function testVendor(name: string, vendor: VendorUnderTest): void {
  testDelivery(name, vendor);
  testTrouble(name, vendor);
}

function testDelivery(name: string, vendor: VendorUnderTest): void {
  test(`${name}: delivers a batch${vendor.ordered === false ? "" : " in order"}`, async () => {
    const { emulator, send } = setUp(vendor);
    expect(statuses(await send(batchOf(eventsOf(vendor, 20), vendor)))).toEqual(new Array(20).fill("delivered"));
    expect(inOrder(vendor, emulator.ids())).toEqual(inOrder(vendor, ids(20)));
  });

  test(`${name}: one event the vendor refuses harms no other`, async () => {
    const { emulator, send } = setUp(vendor);
    const texts = eventsOf(vendor, 9);
    texts[4] = vendor.malformed ?? "{not json";
    const outcomes = await send(batchOf(texts, vendor));
    expect(statuses(outcomes)).toEqual(texts.map((_, index) => (index === 4 ? "rejected" : "delivered")));
    expect(inOrder(vendor, emulator.ids())).toEqual(
      inOrder(
        vendor,
        ids(9).filter((id) => id !== "id-4"),
      ),
    );
  });

  test(`${name}: an event above the vendor's limit is rejected, the others are delivered`, async () => {
    const { send } = setUp(vendor);
    const { maxEventBytes } = protocolOf(vendor, "right");
    const outcomes = await send(
      batchOf([vendor.event("a"), vendor.event("big", maxEventBytes + 10), vendor.event("b")], vendor),
    );
    expect(statuses(outcomes)).toEqual(["delivered", "rejected", "delivered"]);
  });

  test(`${name}: a full batch of its own limits is taken whole`, async () => {
    const { emulator, send } = setUp(vendor);
    const { limits } = protocolOf(vendor, "right");
    const text = eventsOf(vendor, limits.maxEvents, 150);
    const fitting: string[] = [];
    let bytes = 0;
    for (const one of text) {
      if (bytes + one.length + 1 > limits.maxBytes) break;
      fitting.push(one);
      bytes += one.length + 1;
    }
    expect(new Set(statuses(await send(batchOf(fitting, vendor))))).toEqual(new Set(["delivered"]));
    expect(emulator.ids()).toHaveLength(fitting.length);
  });
}

function testTrouble(name: string, vendor: VendorUnderTest): void {
  test(`${name}: waits at least as long as the vendor asks`, async () => {
    const { clock, emulator, send } = setUp(vendor);
    emulator.fail({ kind: "status", status: 429, retryAfter: "7", times: 1 });
    const startedAt = clock.monotonic();
    expect(statuses(await send(batchOf(eventsOf(vendor, 1), vendor)))).toEqual(["delivered"]);
    expect(clock.monotonic() - startedAt).toBeGreaterThanOrEqual(7_000);
  });

  test(`${name}: goes on through 503, resets and silence, and the vendor has each event once`, async () => {
    const { emulator, send } = setUp(vendor);
    for (const kind of ["reset", "resetAfter", "hang", "status"] as const) {
      emulator.fail({ kind, status: 503, times: 2 });
      expect(new Set(statuses(await send(batchOf(eventsOf(vendor, 3), vendor))))).toEqual(new Set(["delivered"]));
    }
    expect(vendor.dedupes === false ? [...new Set(emulator.ids())].toSorted() : emulator.ids()).toEqual(ids(3));
  });

  test(`${name}: a wrong key halts and rejects nothing`, async () => {
    const { send } = setUp(vendor, "wrong");
    expect(statuses(await send(batchOf(eventsOf(vendor, 3), vendor)))).toEqual(["halted", "halted", "halted"]);
  });

  test(`${name}: every status has a meaning`, () => {
    const protocol = protocolOf(vendor, "right");
    const batch = batchOf(eventsOf(vendor, 2), vendor);
    for (let status = 100; status < 600; status++) {
      const verdict = protocol.classify({ status, headers: {}, body: "" }, batch, 0);
      if ("split" in verdict) expect(verdict.reason).not.toBe("");
      else expect(verdict).toHaveLength(2);
      const success = !("split" in verdict) && verdict.every((outcome) => outcome.status === "delivered");
      expect(success, String(status)).toBe(status >= 200 && status < 300);
    }
  });
}

function setUp(vendor: VendorUnderTest, writeKey = "right"): World {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimNetwork({ clock, random });
  const emulator = vendor.emulator(clock);
  network.serve(vendor.origin, emulator.handle);
  const sender = createSender({
    protocol: protocolOf(vendor, writeKey),
    runtime: { clock, random, transport: network.transport },
    timeoutMs: 5_000,
    backoff: fullJitter(100, 10_000),
    maxAttempts: Number.POSITIVE_INFINITY,
  });
  const send = async (batch: Batch): Promise<readonly Outcome[]> => {
    let outcomes: readonly Outcome[] | undefined;
    void sender.send(batch, context()).then((result) => {
      outcomes = result;
    });
    await clock.until(() => outcomes !== undefined);
    return outcomes as unknown as readonly Outcome[];
  };
  return { clock, emulator, send };
}

function eventsOf(vendor: VendorUnderTest, count: number, bytes?: number): string[] {
  return ids(count).map((id) => vendor.event(id, bytes));
}

function ids(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `id-${index}`);
}

/** In any order for a vendor that keeps none. */
function inOrder(vendor: VendorUnderTest, list: readonly string[]): readonly string[] {
  return vendor.ordered === false ? list.toSorted() : list;
}

function protocolOf(vendor: VendorUnderTest, writeKey: string): Protocol {
  const { adapter, origin, url = origin, protocol } = vendor;
  if (protocol !== undefined) return protocol(writeKey);
  if (adapter === undefined) throw new Error("there is neither an adapter nor a protocol");
  return adapter.outbound({ url, writeKey }, { library: { name: "test", version: "1.2.3" }, strict: false });
}

interface World {
  readonly clock: VirtualClock;
  readonly emulator: EmulatorUnderTest;
  readonly send: (batch: Batch) => Promise<readonly Outcome[]>;
}

function batchOf(texts: readonly string[], { metadata = "" }: Pick<VendorUnderTest, "metadata"> = {}): Batch {
  return new TextBatch({
    key: "k",
    metadata,
    oldestAtMs: 0,
    texts,
    sizes: texts.map((text) => Buffer.byteLength(text)),
  });
}

function statuses(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ status }) => status);
}

function context(): SendContext {
  const never = new AbortController().signal;
  return {
    soon: never,
    now: never,
    watch: { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined },
  };
}
