/** Events of sources that a destination does not take, and copies that the log has found. */
import { type Batch, DELIVERED, type Outcome, type Sender } from "@waybill/core";
import { LogBatch, type LogRecord, type Piece } from "@waybill/log";
import type { Trace } from "@waybill/relay";
import { expect, test } from "vitest";
import type { DestinationConfig } from "../../src/config/types.ts";
import { leaveOut } from "../../src/delivery/left-out.ts";
import { configOf, destination, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const SOURCES = {
  web: { protocol: "segment", writeKeys: ["web-key"] },
  ios: { protocol: "segment", writeKeys: ["ios-key"] },
};

function record(source: string, first: number, ...events: readonly string[]): LogRecord {
  const body = Buffer.from(events.join(","));
  let end = -1;
  const ends = Uint32Array.from(events, (event) => (end += event.length + 1));
  return { first, count: events.length, source, receivedAtMs: 0, metadata: "", body, ends, sizeBytes: body.length };
}

function batchOf(...records: readonly LogRecord[]): LogBatch {
  return new LogBatch(
    "lane",
    records.map((one) => ({ record: one, start: 0, end: one.count })),
  );
}

/** Sends with `outcomes` of what it was handed. */
function senderOf(outcomes: readonly Outcome[] = []): Sender & { readonly sent: Batch[] } {
  const sent: Batch[] = [];
  return {
    sent,
    send(batch) {
      sent.push(batch);
      const delivered: Outcome = { status: "delivered" };
      return Promise.resolve(Array.from({ length: batch.count }, (_, index) => outcomes[index] ?? delivered));
    },
  };
}

const sources = (...names: readonly string[]): DestinationConfig => ({ sources: names }) as never;
const DROPPED = { status: "dropped", reason: "source" };

test("a batch of its sources alone is handed on as it is, one of others alone is not sent", async () => {
  const next = senderOf();
  const filter = leaveOut(sources("web", "ios"), next);
  const own = batchOf(record("web", 0, "1", "2"), record("ios", 2, "3"));
  await filter.send(own, {} as never);
  expect(next.sent).toEqual([own]);
  expect(next.sent[0]).toBe(own);
  const foreign = batchOf(record("tv", 3, "4", "5"));
  expect(await filter.send(foreign, {} as never)).toEqual([DROPPED, DROPPED]);
  expect(next.sent).toHaveLength(1);
});

test("of a mixed batch its own events are sent, and each event keeps its own outcome", async () => {
  const rejected: Outcome = { status: "rejected", reason: "no" };
  const retryable: Outcome = { status: "retryable", reason: "later" };
  const next = senderOf([rejected, { status: "delivered" }, retryable]);
  const mixed = batchOf(record("web", 0, "1"), record("tv", 1, "2", "3"), record("web", 3, "4", "5"));
  const outcomes = await leaveOut(sources("web"), next).send(mixed, {} as never);
  expect(outcomes).toEqual([rejected, DROPPED, DROPPED, { status: "delivered" }, retryable]);
  const [sent] = next.sent as [LogBatch];
  expect([0, 1, 2].map((index) => Buffer.from(sent.event(index)).toString())).toEqual(["1", "4", "5"]);
  expect([0, 1, 2].map((index) => sent.eventKey(index))).toEqual(["lane-0", "lane-3", "lane-4"]);
  // Halved, its first three are not those of the whole batch.
  expect(sent.key).not.toBe(mixed.slice(0, 3).key);
});

test("a batch of copies is dropped as duplicates, and one planned with other events is sent as it was planned", async () => {
  const next = senderOf();
  const filter = leaveOut(sources("web"), next);
  const copies = { ...record("web", 0, "1", "2", "3", "4"), duplicates: [0, 1, 3] };
  const part = (start: number, end: number): Piece => ({ record: copies, start, end });
  const duplicate = { status: "dropped", reason: "duplicate" };
  expect(await filter.send(new LogBatch("lane", [part(0, 2)]), {} as never)).toEqual([duplicate, duplicate]);
  expect(await filter.send(new LogBatch("lane", [part(0, 1), part(3, 4)]), {} as never)).toEqual([
    duplicate,
    duplicate,
  ]);
  expect(next.sent).toHaveLength(0);

  const planned = new LogBatch("lane", [part(1, 4)]);
  expect(await filter.send(planned, {} as never)).toEqual([DELIVERED, DELIVERED, DELIVERED]);
  expect(next.sent[0]).toBe(planned);

  const foreign = { record: record("tv", 4, "5"), start: 0, end: 1 };
  expect(await filter.send(new LogBatch("lane", [part(0, 2), foreign]), {} as never)).toEqual([
    duplicate,
    duplicate,
    DROPPED,
  ]);
  expect(await filter.send(new LogBatch("lane", [part(1, 3), foreign]), {} as never)).toEqual([
    DELIVERED,
    DELIVERED,
    DROPPED,
  ]);
  expect((next.sent[1] as LogBatch).key).toBe("lane-1-2");
});

const authorization = (key: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${key}:`)}` });

async function capture({ relay }: Pick<RelayWorld, "relay">, source: string, messageId: string): Promise<void> {
  const body = { batch: [{ type: "track", event: "E", userId: "u", messageId }] };
  const { status } = await send(relay.intakeUrl, "POST", "/v1/batch", body, authorization(`${source}-key`));
  expect(status).toBe(200);
}

function settled({ relay }: Pick<RelayWorld, "relay">): Promise<void> {
  return until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
}

test("a destination gets the events of its sources, and counts and traces those of others as dropped for their source", async () => {
  const settings = (names: readonly string[]): Parameters<typeof configOf>[2] => ({
    sources: SOURCES,
    destinations: (url) => ({ all: destination(url), phones: destination(url, { sources: names }) }),
  });
  const world = await startWorld(settings(["ios"]));
  await capture(world, "web", "from-web");
  await capture(world, "ios", "from-ios");
  await settled(world);
  const accounts = (): unknown =>
    world.relay
      .accounts()
      .lanes.map(({ account: { delivered, droppedByReason, balanced } }) => [delivered, droppedByReason, balanced]);
  expect(accounts()).toEqual([
    [2, {}, true],
    [1, { source: 1 }, true],
  ]);
  const traced = async (messageId: string): Promise<unknown> => {
    const { json } = await send(world.relay.adminUrl, "GET", `/v1/trace/${messageId}`, "", {});
    const [event] = (json as unknown as Trace).events;
    return event?.destinations.map(({ outcome, reason }) => [outcome, reason]);
  };
  expect(await traced("from-web")).toEqual([
    ["delivered", undefined],
    ["dropped", "source"],
  ]);
  // A reload changes it from there on.
  await world.relay.reload(configOf(world.directory, world.server.url, settings(["web"])));
  await capture(world, "web", "from-web-2");
  await capture(world, "ios", "from-ios-2");
  await settled(world);
  expect(accounts()).toEqual([
    [4, {}, true],
    [2, { source: 2 }, true],
  ]);
  expect(await traced("from-ios-2")).toEqual([
    ["delivered", undefined],
    ["dropped", "source"],
  ]);
});
