/**
 * The real relay process under load and what can happen to it; every id that got a 2xx must reach
 * the emulator, once after the emulator's own dedupe and in the order of its user, and the ledgers
 * must balance. The last line is one JSON object; exit 1 when a promise is broken.
 *
 *   npm run chaos -- --kills N         SIGKILL at random moments, several requests on their way
 *   npm run chaos -- --full-disk       a disk of a few megabytes fills up, then there is room again
 *   npm run chaos -- --power-cuts N    the file system is shut down under the relay: what was not
 *                                      synced is gone
 *   npm run chaos -- --hung-disk       the file system answers nothing for a while
 *   npm run chaos -- --failing-fsync   writing works, syncing fails, until the disk is well again
 *   npm run chaos -- --two-relays      several are started together on one directory, again and
 *                                      again after a kill: one alone runs (--rounds N)
 *   npm run chaos -- --kafka --kills N three brokers of a real Kafka and three relays: kills of
 *                                      both, and relays that are paused beyond their session
 *
 * All that do something to a disk need root and Linux, a Kafka needs Java; where they cannot run
 * the last line is {"skipped": reason}.
 */
import { parseArgs } from "node:util";
import { publish } from "../lib/result.ts";
import { isBroken as isClusterBroken, runCluster } from "./cluster/run.ts";
import { runFailingFsync, runFullDisk, runHungDisk, runPowerCuts } from "./disks.ts";
import { runKills } from "./kills.ts";
import { Unavailable } from "./mounts.ts";
import { isBroken } from "./scene.ts";
import { runTwoRelays } from "./two-relays.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "20" },
    "full-disk": { type: "boolean", default: false },
    "power-cuts": { type: "string" },
    "hung-disk": { type: "boolean", default: false },
    "failing-fsync": { type: "boolean", default: false },
    "two-relays": { type: "boolean", default: false },
    kafka: { type: "boolean", default: false },
    rounds: { type: "string", default: "20" },
    seed: { type: "string" },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
try {
  await main();
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  publish("chaos", { skipped: error.message }, false);
  process.exit();
}

async function main(): Promise<void> {
  if (values.kafka) {
    const result = await runCluster(Number(values.kills), seed);
    publish("chaos", result, false);
    if (isClusterBroken(result)) process.exitCode = 1;
  } else if (values["full-disk"]) {
    const result = await runFullDisk(seed);
    publish("chaos", result, false);
    if (isBroken(result) || result.refused === 0 || !result.notReadyWhileFull) process.exitCode = 1;
  } else if (values["power-cuts"] !== undefined) {
    const result = await runPowerCuts(Number(values["power-cuts"]), seed);
    publish("chaos", result, false);
    if (isBroken(result)) process.exitCode = 1;
  } else if (values["failing-fsync"]) {
    const result = await runFailingFsync(seed);
    publish("chaos", result, false);
    if (isBroken(result) || !result.notReadyWhileFailing) process.exitCode = 1;
  } else if (values["two-relays"]) {
    const result = await runTwoRelays(Number(values.rounds), seed);
    publish("chaos", result, false);
    const { mostTogether, leastTogether, intruders } = result;
    if (isBroken(result) || mostTogether !== 1 || leastTogether !== 1 || intruders > 0) process.exitCode = 1;
  } else if (values["hung-disk"]) {
    const result = await runHungDisk(seed);
    publish("chaos", result, false);
    if (isBroken(result) || result.acknowledgedWhileHung > 0) process.exitCode = 1;
  } else {
    const result = await runKills(Number(values.kills), seed);
    publish("chaos", result, false);
    if (isBroken(result) || result.sentTwice > result.twiceAtMost) process.exitCode = 1;
  }
}
