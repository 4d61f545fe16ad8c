/**
 * Commits that a broker took from a relay whose lane was another's already. The broker's own topic
 * of commits has all that it took, in order; the relays have written down which member and epoch
 * each of them named.
 */
import { existsSync, readFileSync } from "node:fs";
import type { Broker } from "@waybill/log-kafka";
import { type Ledger, ledgerOf, recordsOf, settledOf } from "./ledgers.ts";

interface Sent {
  readonly group: string;
  readonly partition: number;
  readonly metadata: string;
  readonly memberEpoch: number;
}

interface Last {
  readonly epoch: number;
  readonly ledger: Ledger;
}

export interface Commits {
  readonly accepted: number;
  /** States that were sent and that no broker took: refused, or lost with what carried them. */
  readonly notTaken: number;
  /** What was wrong with those that should have been refused. */
  readonly stale: readonly string[];
}

const TOPIC = "__consumer_offsets";
const CALL_MS = 20_000;

export async function readCommits(
  broker: Broker,
  { group, recordings }: { readonly group: string; readonly recordings: readonly string[] },
): Promise<Commits> {
  const sent = readSent(group, recordings);
  const last = new Map<number, Last>();
  const stale: string[] = [];
  const taken = new Set<string>();
  let accepted = 0;
  const [description] = await broker.describe({ topics: [TOPIC], deadlineMs: CALL_MS });
  // A group is in one partition of it.
  for (let at = 0; at < (description?.partitions.length ?? 0); at++)
    for await (const { value } of recordsOf(broker, { topic: TOPIC, partition: at })) {
      const metadata = metadataIn(value);
      const senders = metadata === undefined ? undefined : sent.get(metadata);
      if (metadata === undefined || senders === undefined) continue;
      accepted += 1;
      taken.add(metadata);
      const { partition } = senders[0] as Sent;
      const fault = judge(partition, last, { metadata, senders });
      if (fault !== undefined) stale.push(`partition ${partition}: ${fault}`);
    }
  return { accepted, notTaken: sent.size - taken.size, stale };
}

/** Why it should have been refused; otherwise it is the last one from now on. */
function judge(
  partition: number,
  last: Map<number, Last>,
  { metadata, senders }: { readonly metadata: string; readonly senders: readonly Sent[] },
): string | undefined {
  const ledger = ledgerOf(metadata);
  const before = last.get(partition);
  const epochs = senders.map(({ memberEpoch }) => memberEpoch);
  // Who has sent the same states is only known to be one of these: the one that may have.
  const epoch = Math.min(...epochs.filter((one) => one >= (before?.epoch ?? -1)));
  if (before !== undefined && epoch === Number.POSITIVE_INFINITY)
    return `epoch ${epochs.join(", ")} after ${before.epoch}`;
  if (before !== undefined && isBack(before.ledger, ledger))
    return `${JSON.stringify(ledger)} after ${JSON.stringify(before.ledger)}`;
  last.set(partition, { epoch, ledger });
  return undefined;
}

function isBack(before: Ledger, after: Ledger): boolean {
  return (
    after.position < before.position ||
    after.delivered < before.delivered ||
    after.rejected < before.rejected ||
    settledOf(after) < settledOf(before)
  );
}

/** By what they say: it names its group, partition and offset in its checksum. */
function readSent(group: string, recordings: readonly string[]): ReadonlyMap<string, readonly Sent[]> {
  const all = new Map<string, Sent[]>();
  for (const file of recordings) {
    if (!existsSync(file)) continue;
    for (const line of readFileSync(file, "utf8").split("\n")) {
      if (line === "" || !line.endsWith("}")) continue;
      const one = JSON.parse(line) as Sent;
      if (one.group !== group) continue;
      const same = all.get(one.metadata);
      if (same === undefined) all.set(one.metadata, [one]);
      else same.push(one);
    }
  }
  return all;
}

const OFFSET_VALUE_VERSIONS: ReadonlySet<number> = new Set([3, 4]);
/** Version, offset, epoch of the leader. */
const METADATA_AT = 2 + 8 + 4;

/** Of a record's value (`OffsetCommitValue`); `undefined` for what is something else. */
function metadataIn(value: Uint8Array): string | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length < METADATA_AT + 2 || !OFFSET_VALUE_VERSIONS.has(bytes.readInt16BE(0))) return undefined;
  const at = bytes.indexOf("waybill/", METADATA_AT);
  if (at < 0) return undefined;
  // The length before it has two bytes in version 3, and from version 4 on as many as it needs, of
  // seven bits each, of a number that is one more.
  const isCompact = bytes.readInt16BE(0) >= 4;
  const length = isCompact ? varintOf(bytes.subarray(METADATA_AT, at)) - 1 : bytes.readInt16BE(METADATA_AT);
  return bytes.toString("utf8", at, at + length);
}

function varintOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte, index) => sum + (byte & 0x7f) * 2 ** (7 * index), 0);
}
