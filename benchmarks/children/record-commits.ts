/**
 * Loaded into a relay before it starts (`record-commits.js?to=FILE`): each commit of lanes' states
 * is written down before it is sent, a line for each lane with the member and the epoch that it
 * names, and an empty line after the last one.
 */
import { appendFileSync } from "node:fs";
import { type CommitRequest, KafkaBroker } from "@waybill/log-kafka";

type Commit = (this: KafkaBroker, request: CommitRequest) => Promise<void>;

const file = new URL(import.meta.url).searchParams.get("to");
if (file === null) throw new Error("the file to write to is missing");
const { prototype } = KafkaBroker;
const commit = Reflect.get(prototype, "commit") as Commit;

prototype.commit = function recorded(this: KafkaBroker, request: CommitRequest): Promise<void> {
  const { group, memberId, memberEpoch, offsets } = request;
  const lines = offsets.map(({ partition, metadata }) =>
    JSON.stringify({ group, partition, metadata, memberId, memberEpoch }),
  );
  appendFileSync(file, `${lines.join("\n")}\n\n`);
  return commit.call(this, request);
};
