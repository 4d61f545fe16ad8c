/** What one relay accepted on its disk is delivered by others on Kafka after a copy, and back. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WaybillError } from "@waybill/core";
import { nodeClock, nodeRuntime } from "@waybill/node";
import { type RelayConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { copyLog } from "@waybill/relay/offline";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, onTestFinished, test } from "vitest";
import { configOf, destination, KEY, send, until } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const authorization = { authorization: `Basic ${btoa(`${KEY}:`)}` };
const KAFKA = { engine: "kafka", kafka: { brokers: ["kafka:9092"], partitions: 3 } };
/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:9";

async function capture(relay: RunningRelay, from: number, count: number): Promise<void> {
  const batch = Array.from({ length: count }, (_, index) => {
    const number = from + index;
    return { type: "track", event: "E", userId: `user-${number % 5}`, messageId: `m-${number}` };
  });
  const { status } = await send(relay.intakeUrl, "POST", "/v1/batch", { batch }, authorization);
  expect(status).toBe(200);
}

function ids(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => `m-${from + index}`).toSorted();
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (failed: unknown) => failed,
  );
  return error instanceof WaybillError ? `${error.code} ${error.message}` : String(error);
}

test("what waits on a disk is delivered by relays on Kafka, and what waits there by a relay on the disk", async () => {
  const cluster = new SimCluster({ clock: nodeClock, heartbeatIntervalMs: 200 });
  const emulator = new SegmentEmulator({ clock: nodeClock, limits: "none" });
  const server = await startServer((request) => emulator.handle(request));
  const root = mkdtempSync(join(tmpdir(), "waybill-test-"));
  onTestFinished(async () => {
    await server.close();
    rmSync(root, { recursive: true, force: true });
  });
  const disk = (url: string): RelayConfig =>
    configOf(root, url, { destinations: () => ({ emulator: destination(url), dead: destination(NOWHERE) }) });
  const kafka = (url: string, directory = root): RelayConfig =>
    configOf(directory, url, {
      extra: KAFKA,
      destinations: () => ({ emulator: destination(url), dead: destination(NOWHERE) }),
    });
  const start = (config: RelayConfig): Promise<RunningRelay> =>
    startRelay(config, {
      logger: silent as never,
      connectKafka: () => Promise.resolve(cluster.connect("relay")),
    });
  const copy = (to: "kafka" | "disk", config: RelayConfig, resend = true) =>
    copyLog({
      config,
      to,
      resend,
      runtime: nodeRuntime(),
      connectKafka: () => Promise.resolve(cluster.connect("copy")),
    });

  const first = await start(disk(server.url));
  await capture(first, 0, 20);
  await until(() => emulator.received === 20);
  expect(await refusal(copy("kafka", kafka(server.url)))).toMatch("WAYBILL_LOG_LOCKED");
  await first.stop();
  const second = await start(disk(NOWHERE));
  await capture(second, 20, 20);
  await second.stop();

  expect(await refusal(copy("kafka", kafka(server.url), false))).toMatch(/WAYBILL_LOG_COPY.*may have been sent/);
  const [copied] = await copy("kafka", kafka(server.url));
  expect(copied).toMatchObject({
    events: 40,
    duplicates: 0,
    destinations: [
      { destination: "emulator", pending: 20 },
      { destination: "dead", pending: 40 },
    ],
  });
  expect(await refusal(start(disk(server.url)))).toMatch(/WAYBILL_LOG_COPY The log in .* was copied to Kafka/);

  emulator.events.length = 0;
  const third = await start(kafka(server.url));
  await until(() => emulator.events.length === 20);
  expect(emulator.events.map(({ messageId }) => messageId).toSorted()).toEqual(ids(20, 40));
  // Known as duplicates, though the emulator had them from the disk.
  await capture(third, 0, 10);
  await capture(third, 40, 10);
  await until(() => emulator.events.length === 30);
  const other = join(root, "other");
  expect(await refusal(copy("disk", kafka(server.url, other)))).toMatch(/WAYBILL_LOG_COPY Relays deliver to emulator/);
  await third.stop();

  const [back] = await copy("disk", kafka(server.url, other));
  expect(back?.destinations).toMatchObject([
    { destination: "emulator", pending: 0 },
    { destination: "dead", pending: 50 },
  ]);
  expect(await refusal(start(kafka(server.url)))).toMatch(/WAYBILL_LOG_COPY The log in waybill.test was copied/);
  const fourth = await start({ ...disk(server.url), dataDirectory: `${other}/data` });
  await capture(fourth, 45, 10);
  await until(() => emulator.events.length === 35);
  const lanes = fourth.accounts().lanes;
  expect(lanes.every(({ account }) => account.balanced)).toBe(true);
  await fourth.stop();
});

test("what was answered with 503 when the relay stopped is copied once the relay has settled it", async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock, limits: "none" });
  let answers = 0;
  let isDown = true;
  const server = await startServer((request) => {
    answers += 1;
    return isDown ? { status: 503, headers: {}, body: "" } : emulator.handle(request);
  });
  const root = mkdtempSync(join(tmpdir(), "waybill-test-"));
  onTestFinished(async () => {
    await server.close();
    rmSync(root, { recursive: true, force: true });
  });
  const cluster = new SimCluster({ clock: nodeClock, heartbeatIntervalMs: 200 });
  const destinations = (url: string) => ({ emulator: destination(url) });
  const onDisk = (): Promise<RunningRelay> =>
    startRelay(configOf(root, server.url, { destinations }), { logger: silent as never });
  const copy = () =>
    copyLog({
      config: configOf(root, server.url, { extra: KAFKA, destinations }),
      to: "kafka",
      runtime: nodeRuntime(),
      connectKafka: () => Promise.resolve(cluster.connect("copy")),
    });

  const first = await onDisk();
  await capture(first, 0, 10);
  await until(() => answers > 0);
  await first.stop();
  const refused = await copy().catch((error: unknown) => error as WaybillError);
  expect(refused).toMatchObject({
    message: expect.stringContaining("emulator (10)"),
    hint: expect.stringMatching(/503.*Start the relay as it was/),
  });
  isDown = false;
  const second = await onDisk();
  await until(() => emulator.received === 10);
  await second.stop();
  expect(await copy()).toMatchObject([{ destinations: [{ destination: "emulator", pending: 0 }] }]);
});
