/** The files of `kafka.tls`: a reload reads them, and new connections use what they have then. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server } from "node:tls";
import type { KafkaTls } from "@waybill/log-kafka";
import { nodeClock } from "@waybill/node";
import { createTestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { connectKafka, KafkaCertificates } from "../../src/cluster/connect-kafka.ts";
import { ask, startCluster } from "./lib/cluster-world.ts";

const CALL_MS = 2_000;

function fileOf(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "ca.pem");
  writeFileSync(path, text);
  return path;
}

test("a reload reads the files; one that is wrong leaves what was in use", async () => {
  const [before, after] = [createTestCa().cert, createTestCa().cert];
  const ca = fileOf(before);
  const { start } = await startCluster();
  let inUse: () => KafkaTls = () => ({});
  const relay = await start("one", {
    kafka: { tls: { ca } },
    tls: (given) => (inUse = given),
    reloadConfig: (config) => config,
  });
  expect(inUse()).toEqual({ ca: before });
  writeFileSync(ca, after);
  expect(inUse()).toEqual({ ca: before });
  expect((await ask(relay, "/v1/reload")).json).toMatchObject({ ok: true });
  expect(inUse()).toEqual({ ca: after });
  rmSync(ca);
  expect((await ask(relay, "/v1/reload")).json).toMatchObject({ ok: false });
  expect(inUse()).toEqual({ ca: after });
});

test("connections that are made after a reload use what the files have then", async () => {
  const [before, after] = [createTestCa(), createTestCa()];
  const { cert, key } = after.issue("localhost");
  let shaken = 0;
  const server = createServer({ cert, key }, (socket) => {
    shaken += 1;
    socket.destroy();
  });
  const files = { ca: fileOf(before.cert) };
  const certificates = await KafkaCertificates.of(files);
  const config = {
    brokers: [`localhost:${await portOf(server)}`],
    tls: files,
    topicPrefix: "waybill",
    partitions: 1,
    replicationFactor: 1,
    minInSyncReplicas: 1,
    clientId: "one",
  };
  const broker = await connectKafka(config, nodeClock, certificates.inUse);
  onTestFinished(() => broker.close());
  const asking = (): Promise<unknown> => broker.describe({ topics: ["x"], deadlineMs: CALL_MS });
  await expect(asking()).rejects.toThrow(/certificate/);
  expect(shaken).toBe(0);
  writeFileSync(files.ca, after.cert);
  (await certificates.read(files))();
  await expect(asking()).rejects.not.toThrow(/certificate/);
  expect(shaken).toBeGreaterThan(0);
});

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as { readonly port: number }).port;
}
