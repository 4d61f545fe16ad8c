/** A real Kafka for cases of a cluster, as `npm run kafka` starts it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "@waybill/testing";
import { Skipped, within } from "./check.ts";
import { cleanEnv } from "./relay.ts";
import { configOf, EVERY_SOURCE, segmentTo } from "./scenes.ts";
import type { Rig, Scene, Stage } from "./stage.ts";

/** The built script, seen from this file and from what it is compiled to. */
const KAFKA: string =
  ["../../benchmarks", "../../../benchmarks"]
    .map((benchmarks) => fileURLToPath(new URL(`${benchmarks}/dist/kafka.js`, import.meta.url)))
    .find((path) => existsSync(path)) ?? "";
/** Fetching it, where it is the first time. */
const START_MAX_MS = 400_000;
/** Of each environment. */
export const PARTITIONS = 4;
export const PREFIX = "attack";
export const TOKEN = "attack-admin-token";

/** Its address. **Errors**: {@link Skipped} with the reason where there can be none. */
async function startKafka(stage: Stage): Promise<string> {
  const env = { ...cleanEnv(), ...installs() };
  const child = spawn(process.execPath, [KAFKA], { stdio: ["ignore", "pipe", "pipe"], env });
  // It stops its broker then, and removes what it wrote.
  const stop = (): boolean => child.kill("SIGTERM");
  process.once("exit", stop);
  const ended = once(child, "exit");
  stage.atEnd(async () => {
    stop();
    await ended;
    process.off("exit", stop);
  });
  let why = "";
  child.stderr.on("data", (chunk: Buffer) => (why += chunk.toString()));
  const ready = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const address = /^brokers: (.+)$/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once("close", () => reject(new Skipped(why.trim())));
  });
  return within(START_MAX_MS, ready, `Kafka did not start within ${START_MAX_MS} ms`);
}

/** Whether something may be fetched. */
function installs(): Record<string, string> {
  const { WAYBILL_NO_INSTALL: value } = process.env;
  return value === undefined ? {} : { WAYBILL_NO_INSTALL: value };
}

export interface ClusterRig extends Rig {
  readonly peers: readonly [Rig["relay"]];
  readonly brokers: string;
}

/** Two relays before one Kafka, a healthy destination and one that behaves as the case tells it. */
export const CLUSTER: Scene = {
  name: "cluster",
  async open(stage: Stage): Promise<ClusterRig> {
    const brokers = await startKafka(stage);
    const good = await stage.vendor();
    const bad = await stage.vendor();
    const launch = async (): Promise<Rig["relay"]> => {
      const directory = stage.directory();
      const listen = `127.0.0.1:${await freePort()}`;
      const extra = {
        engine: "kafka",
        kafka: {
          brokers: [brokers],
          topicPrefix: PREFIX,
          partitions: PARTITIONS,
          replicationFactor: 1,
          advertise: `http://${listen}`,
        },
        admin: { listen, token: TOKEN },
      };
      const destinations = { good: segmentTo(good), bad: segmentTo(bad) };
      const config = configOf(directory, { sources: EVERY_SOURCE, destinations, extra });
      return stage.launch({ directory, config, token: TOKEN });
    };
    return { relay: await launch(), peers: [await launch()], good, bad, brokers };
  },
};
