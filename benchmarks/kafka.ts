/**
 * `npm run kafka`: a Kafka on this machine, to try the relay with. It prints the addresses when it
 * is ready, and is gone with all its data after Ctrl-C.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { startCluster } from "./lib/kafka/cluster.ts";
import { say } from "./lib/result.ts";

const HELP = `npm run kafka [-- --brokers 1|3]

Starts a Kafka on this machine, to try the relay with, and prints its addresses. Needs Java 17, and
Maven to fetch Kafka once. Ctrl-C ends it and removes its data.

  --brokers 1|3   default 1; with three each partition has three copies, and two must be in sync
  --help          this text
`;

/** The least that a relay does not warn of, so that a death is seen soon. */
const GROUP_SESSION_MS = 10_000;

const { values } = parseArgs({
  options: { brokers: { type: "string", default: "1" }, help: { type: "boolean", default: false } },
});
if (values.help) process.stdout.write(HELP);
else if (values.brokers !== "1" && values.brokers !== "3") {
  process.stderr.write(`--brokers is 1 or 3, not ${values.brokers}\n`);
  process.exitCode = 1;
} else await run(values.brokers === "3" ? 3 : 1);

async function run(brokers: 1 | 3): Promise<void> {
  const ended = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  const cluster = await startCluster({ brokers, groupSessionMs: GROUP_SESSION_MS, tell: say }).catch(
    (error: unknown) => (error as Error).message,
  );
  if (typeof cluster === "string") {
    process.stderr.write(`${cluster}\n`);
    process.exitCode = 1;
    return;
  }
  for (const { id, address, pid } of cluster.brokers) say(`broker ${id}: ${address}, process ${pid}`);
  say(`brokers: ${cluster.addresses.join(",")}`);
  await ended;
  await cluster.close();
}
