/** A data directory of a relay with engine: disk that is given to one on Kafka. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeClock, nodeDisk } from "@waybill/node";
import { type RelayConfig, startRelay } from "@waybill/relay";
import { diskLogWarnings } from "@waybill/relay/offline";
import { SeededRandom } from "@waybill/testing";
import { SimCluster } from "@waybill/testing/kafka";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, configOf, startWorld } from "../lib/world.ts";

/** Of a relay on Kafka, over a directory where seven events wait on the disk. */
async function leftConfig(): Promise<RelayConfig> {
  const { relay, server, post, directory } = await startWorld({
    destinations: (url) => ({ emulator: { vendor: "segment", url, writeKey: "k", batch: { linger: "1h" } } }),
  });
  const batch = Array.from({ length: 7 }, (_, at) => ({
    type: "track",
    event: "E",
    userId: "u",
    messageId: `m-${at}`,
  }));
  await post("/v1/batch", { batch }, BASIC);
  await relay.stop();
  return configOf(directory, server.url, {
    extra: { engine: "kafka", kafka: { brokers: ["kafka:9092"], partitions: 2 } },
  });
}

test("a relay on Kafka starts, and tells what the disk has that it does not deliver", async () => {
  const config = await leftConfig();
  const lines: object[] = [];
  const note = (fields: object): void => void lines.push(fields);
  const cluster = new SimCluster({ clock: nodeClock, random: new SeededRandom(1), heartbeatIntervalMs: 200 });
  const next = await startRelay(config, {
    logger: { level: "info", info: note, warn: note, error: note, debug: note } as never,
    connectKafka: async () => cluster.connect("one"),
  });
  onTestFinished(() => next.stop());
  expect(lines).toContainEqual(
    expect.objectContaining({ code: "disk_log_left", environment: "test", destination: "emulator", events: 7 }),
  );
});

const contentsOf = (directory: string): readonly string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${parentPath}/${name}: ${readFileSync(join(parentPath, name)).toString("base64")}`);

test("a check of its configuration warns of them before, and changes nothing", async () => {
  const config = await leftConfig();
  const { dataDirectory, environments } = config;
  const before = contentsOf(dataDirectory);
  expect(await diskLogWarnings(config, nodeDisk)).toEqual([
    `${dataDirectory}/test has a log of engine: disk with events that wait for emulator (7): a relay on Kafka does not deliver them; before one takes events, stop all relays and run waybill log copy --to kafka`,
  ]);
  expect(await diskLogWarnings({ dataDirectory, environments }, nodeDisk)).toEqual([]);
  expect(contentsOf(dataDirectory)).toEqual(before);
});

const SEGMENT = "test/log/00000000000000000000.log";

test.each([
  ["is not there", () => undefined, []],
  ["is empty", (directory: string) => mkdirSync(join(directory, "test"), { recursive: true }), []],
  [
    "is a file",
    (directory: string) => writeFileSync(join(directory, "test"), "x"),
    [expect.stringMatching(/test cannot be read, and whether events wait there .* is not known: .*ENOTDIR/)],
  ],
  [
    "is of a newer version",
    (directory: string) => {
      mkdirSync(join(directory, "test"));
      writeFileSync(join(directory, ".format"), JSON.stringify({ format: 99, writtenBy: "9.0.0" }));
    },
    [expect.stringContaining("written by waybill 9.0.0")],
  ],
  [
    "has garbage for a segment and a lane",
    (directory: string) => {
      for (const path of [SEGMENT, "test/lanes/emulator"]) {
        mkdirSync(join(directory, path, ".."), { recursive: true });
        writeFileSync(join(directory, path), "garbage".repeat(1_000));
      }
    },
    [],
  ],
] as const)("a check of a directory that %s does not fail", async (_name, make, expected) => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-left-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const config = configOf(directory, "http://vendor.test", {
    extra: { engine: "kafka", kafka: { brokers: ["kafka:9092"], partitions: 2 } },
  });
  mkdirSync(config.dataDirectory, { recursive: true });
  make(config.dataDirectory);
  expect(await diskLogWarnings(config, nodeDisk)).toEqual(expected);
});
