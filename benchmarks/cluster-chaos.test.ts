/** What the chaos on a real Kafka measures is seen, also while nothing is wrong with the relay. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Broker } from "@waybill/log-kafka";
import type { EmulatorEvent } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { readCommits } from "./chaos/cluster/commits.ts";
import { longestGap } from "./chaos/cluster/gaps.ts";

const GROUP = "lanes";

interface OneCommit {
  readonly epoch: number;
  readonly delivered: number;
}

const stateOf = (delivered: number): string =>
  `waybill/1 00000000 ${JSON.stringify({ position: delivered, delivered, rejected: 0, expired: 0, dropped: {} })}`;

/** `OffsetCommitValue` of versions 3 and 4. */
function valueOf(metadata: string, version: 3 | 4): Uint8Array {
  const head = Buffer.alloc(14);
  head.writeInt16BE(version, 0);
  const length = Buffer.alloc(2);
  if (version === 3) length.writeInt16BE(metadata.length);
  else length.set([((metadata.length + 1) & 0x7f) | 0x80, (metadata.length + 1) >> 7]);
  // A timestamp that has bytes of JSON.
  return Buffer.concat([head, length, Buffer.from(metadata), Buffer.from("}}}}}}}}")]);
}

function brokerWith(values: readonly Uint8Array[]): Broker {
  const records = values.map((value, offset) => ({ offset, value, appendedAtMs: 0 }));
  return {
    describe: () => Promise.resolve([{ topic: "__consumer_offsets", partitions: [{}], configs: {} }]),
    offsetAt: () => Promise.resolve(records.length),
    fetch: ({ offset }: { readonly offset: number }) =>
      Promise.resolve({ records: records.slice(offset, offset + 2), end: records.length, first: 0 }),
  } as unknown as Broker;
}

/** Of one partition, in the order in which the broker took them. */
async function staleAmong(commits: readonly OneCommit[], version: 3 | 4 = 4): Promise<readonly string[]> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "commits");
  const lines = commits.map(({ epoch, delivered }) =>
    JSON.stringify({ group: GROUP, partition: 0, metadata: stateOf(delivered), memberId: "m", memberEpoch: epoch }),
  );
  writeFileSync(file, `${lines.join("\n")}\n`);
  const values = commits.map(({ delivered }) => valueOf(stateOf(delivered), version));
  const broker = brokerWith([Buffer.alloc(0), ...values]);
  const { accepted, stale } = await readCommits(broker, { group: GROUP, recordings: [file] });
  expect(accepted).toBe(commits.length);
  return stale;
}

test.for([3, 4] as const)("commits that a broker took are read from its own topic, version %i", async (version) => {
  const states = [0, 5, 5, 9, 300].map((delivered, index) => ({ epoch: index, delivered }));
  expect(await staleAmong(states, version)).toEqual([]);
});

test("a commit of an earlier epoch is stale, though its ledger goes on", async () => {
  const stale = await staleAmong([
    { epoch: 1, delivered: 5 },
    { epoch: 3, delivered: 6 },
    { epoch: 1, delivered: 7 },
    { epoch: 3, delivered: 8 },
  ]);
  expect(stale).toEqual(["partition 0: epoch 1 after 3"]);
});

test("a commit whose ledger goes back is stale, whatever its epoch", async () => {
  const stale = await staleAmong([
    { epoch: 1, delivered: 5 },
    { epoch: 2, delivered: 4 },
    { epoch: 2, delivered: 6 },
  ]);
  expect(stale).toHaveLength(1);
  expect(stale[0]).toContain('"delivered":4');
});

test("a partition without deliveries counts while something acknowledged waits in it", () => {
  const came = (messageId: string, receivedAtMs: number): EmulatorEvent => ({
    messageId,
    receivedAtMs,
    type: "track",
    event: {},
    request: 0,
  });
  const events = [came("a", 100), came("b", 110), came("x", 500), came("c", 900), came("d", 2_000)];
  const partitionOf = new Map([..."abcd"].map((id) => [id, 0])).set("x", 1);
  // Nothing was there for the vendor from 110 to 400, and from 900 to 1,990.
  const acknowledgedAt = new Map(Object.entries({ a: 90, b: 105, c: 400, d: 1_990, x: 490 }));
  expect(longestGap(events, { acknowledgedAt, partitionOf })).toEqual({ ms: 500, partition: 0, untilMs: 900 });
});
