/** Bugs that a careless change could bring to the log on Kafka. */
import type { Transport } from "@waybill/core";
import { DeadLetters } from "@waybill/log";
import { type Broker, PartitionLog } from "@waybill/log-kafka";
import type { SimConnectionOptions } from "@waybill/testing/kafka";
import { Strands } from "../../packages/log/src/lanes/strands.ts";
import { LaneWithReplays } from "../../packages/relay/src/cluster/lane-with-replays.ts";
import { KeptAnswers } from "../../packages/relay/src/delivery/kept-answers.ts";
import { replaced } from "../replaced.ts";
import { changed } from "./changed-broker.ts";
import { EVENTS_TOPIC } from "./names.ts";

/** The part of a bug that the hunt needs is as on the disk. */
export interface ClusterBug {
  readonly name: string;
  readonly what: string;
  /** The seed at which it was found first; the hunt begins there. */
  readonly seed: number;
  readonly connection?: SimConnectionOptions;
  /** Between the relay and its cluster. */
  readonly broker?: (broker: Broker) => Broker;
  readonly relayTransport?: (transport: Transport) => Transport;
  /** In the code itself; returns what takes it back. */
  readonly patch?: () => () => void;
}

const HASH_WORDS = 4;

export const CLUSTER_BUGS: readonly ClusterBug[] = [
  {
    name: "acks-1",
    what: "what the leader alone has counts as accepted",
    seed: 1,
    connection: { acks: 1 },
  },
  {
    name: "commit-without-fencing",
    what: "a commit is taken of whoever sends it",
    seed: 1,
    connection: { isFenced: false },
  },
  {
    name: "cursor-before-send",
    what: "the cursor is committed with the plan of a batch, before it is sent",
    seed: 1,
    patch: () =>
      replaced(
        Strands.prototype,
        "values",
        (values) =>
          function (this: Strands, otherwise: number) {
            return values
              .call(this, otherwise)
              .map((strand) => ({ ...strand, position: strand.position + strand.planned, planned: 0 }));
          },
      ),
  },
  {
    name: "partition-by-nothing",
    what: "an event goes to any partition",
    seed: 1,
    broker: anyPartition,
  },
  {
    name: "window-not-rebuilt",
    what: "who takes a partition over does not read back the ids of the window",
    seed: 1,
    patch: () =>
      replaced(
        PartitionLog as { open: typeof PartitionLog.open },
        "open",
        (open) =>
          async function (this: typeof PartitionLog, options) {
            const { duplicates } = options;
            if (duplicates === undefined) return open.call(PartitionLog, options);
            let isOpen = false;
            const idsOf: typeof duplicates.idsOf = (record) =>
              isOpen ? duplicates.idsOf(record) : new Uint32Array(HASH_WORDS * record.count);
            const log = await open.call(PartitionLog, { ...options, duplicates: { ...duplicates, idsOf } });
            isOpen = true;
            return log;
          },
      ),
  },
  {
    name: "replay-cursor-before-send",
    what: "the cursor of a replay is committed with its batch, before it is sent",
    seed: 6,
    patch: () =>
      replaced(
        LaneWithReplays.prototype,
        "replay",
        (replay) =>
          function (this: LaneWithReplays, initial) {
            const state = replay.call(this, initial);
            return {
              ...state,
              write: ({ leased, cursor, delivered, ...value }) =>
                state.write({ ...value, cursor: cursor + leased, delivered: delivered + leased, leased: 0 }),
            };
          },
      ),
  },
  {
    name: "replay-not-handed-over",
    what: "who takes a lane over begins its replays anew",
    seed: 6,
    patch: () =>
      replaced(
        LaneWithReplays.prototype,
        "replay",
        (replay) =>
          function (this: LaneWithReplays, initial) {
            return replay.call(this, {
              ...initial,
              cursor: 0,
              leased: 0,
              delivered: 0,
              rejected: 0,
              expired: 0,
              dropped: {},
            });
          },
      ),
  },
  {
    name: "retried-not-marked",
    what: "a dead letter that was retried and delivered goes on waiting",
    seed: 6,
    patch: () =>
      replaced(
        DeadLetters.prototype,
        "mark",
        (mark) =>
          function (this: DeadLetters, ids, state) {
            return state === "retried" ? Promise.resolve() : mark.call(this, ids, state);
          },
      ),
  },
  {
    name: "answer-to-another",
    what: "of a vendor's answers that are kept for late callers, any is given to any of them",
    seed: 3,
    patch: () => {
      const nameless = (key: string): string => key.replace(/\d+$/, "");
      const restoreKeep = replaced(
        KeptAnswers.prototype,
        "keep",
        (keep) =>
          function (this: KeptAnswers, key, answer) {
            keep.call(this, nameless(key), answer);
          },
      );
      const restoreTake = replaced(
        KeptAnswers.prototype,
        "take",
        (take) =>
          function (this: KeptAnswers, key) {
            return take.call(this, nameless(key));
          },
      );
      return () => {
        restoreTake();
        restoreKeep();
      };
    },
  },
];

function anyPartition(broker: Broker): Broker {
  let turn = 0;
  return changed(broker, {
    async produce(request) {
      turn += 1;
      const [topic] = await broker.describe({ topics: [request.topic], deadlineMs: request.deadlineMs });
      const isOwn = request.topic !== EVENTS_TOPIC;
      const partition = isOwn ? request.partition : turn % (topic?.partitions.length ?? 1);
      return broker.produce({ ...request, partition });
    },
  });
}
