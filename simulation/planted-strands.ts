/** Bugs that a careless change could bring to strands, to parked users and to what is in flight. */
import { Limiter, type LimiterOptions } from "@waybill/core";
import { LaneState, type LaneStateValue } from "@waybill/log";
import { LearnedPace } from "../packages/core/src/limiter-models.ts";
import { Parked } from "../packages/log/src/lanes/parked.ts";
import { Strands } from "../packages/log/src/lanes/strands.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { reconfigured } from "./reconfigured.ts";
import { replaced } from "./replaced.ts";

/** Strands from which on a key is in another one than before. */
const MOVED_FROM = 4;

export const STRAND_BUGS: readonly PlantedBug[] = [
  {
    name: "strand-forgets-its-plan",
    what: "after a crash the batches of strands are others than before, under other keys",
    seed: 15,
    patch: () =>
      replaced(
        Strands.prototype,
        "values",
        (values) =>
          function (this: Strands, otherwise: number) {
            return values.call(this, otherwise).map((strand) => ({ ...strand, planned: 0 }));
          },
      ),
  },
  {
    name: "split-skips-an-event",
    what: "a strand that becomes two loses the first event of one of them",
    seed: 1,
    patch: () =>
      replaced(
        Strands.prototype,
        "split",
        (split) =>
          function (this: Strands, ...args: Parameters<Strands["split"]>) {
            const isSplit = split.apply(this, args);
            const last = this.all.at(-1);
            const first = last && this.firstOf(last, -1);
            if (isSplit && last !== undefined) this.take(last, (record, at) => record.first + at === first);
            return isSplit;
          },
      ),
  },
  {
    name: "key-changes-strands",
    what: "the events of a user are in another strand than those before, which are on their way",
    seed: 3,
    patch: () =>
      replaced(
        Strands.prototype,
        "strandOf",
        (strandOf) =>
          function (this: Strands, hash: number) {
            return strandOf.call(this, this.count < MOVED_FROM ? hash : hash + 1);
          },
      ),
  },
  {
    name: "strand-runs-ahead",
    what: "the state says that a strand has settled an event more than it has",
    seed: 1,
    patch: () =>
      replaced(
        Strands.prototype,
        "values",
        (values) =>
          function (this: Strands, otherwise: number) {
            return values.call(this, otherwise).map((strand) => ({ ...strand, position: strand.position + 1 }));
          },
      ),
  },
  {
    name: "frontier-runs-ahead",
    what: "the state says that more is settled before the parked events' frontier than is",
    seed: 1,
    patch: () =>
      replaced(
        LaneState.prototype,
        "write",
        (write) =>
          function (this: LaneState<object>, value: object) {
            const { frontier } = value as LaneStateValue;
            return write.call(this, frontier === undefined ? value : { ...value, frontier: frontier + 1 });
          },
      ),
  },
  {
    name: "give-up-in-an-outage",
    what: "a parked event is given up although nothing passes",
    seed: 2,
    patch: () => {
      const undo = [
        replaced(
          Parked.prototype,
          "failed",
          (failed) =>
            function (this: Parked, user, failure) {
              return failed.call(this, user, { ...failure, passedMs: failure.at });
            },
        ),
        replaced(
          Parked.prototype,
          "failedFor",
          (failedFor) =>
            function (this: Parked, ms) {
              return failedFor.call(this, ms, Number.POSITIVE_INFINITY);
            },
        ),
      ];
      return () => {
        for (const one of undo) one();
      };
    },
  },
  {
    name: "parked-user-is-overtaken",
    what: "later events of a parked user do not wait",
    seed: 1,
    patch: () => {
      const undo = [
        replaced(Parked.prototype, "has", () => () => false),
        replaced(Parked.prototype, "hold", () => () => "none"),
      ];
      return () => {
        for (const one of undo) one();
      };
    },
  },
  {
    name: "one-more-in-flight",
    what: "a lane has one request more on its way than it may",
    seed: 2,
    // The lane's own number only prepares: what holds it is the limiter.
    patch: () =>
      replaced(
        Limiter.prototype,
        "reconfigure",
        (reconfigure) =>
          function (this: Limiter, options: LimiterOptions) {
            reconfigure.call(this, { ...options, maxInFlight: options.maxInFlight + 1 });
          },
      ),
    environment: reconfigured,
  },
  {
    name: "limiter-never-shrinks",
    what: "what a vendor refuses lowers neither the number in flight nor the pace",
    seed: 16,
    patch: () => {
      const undo = (["lower", "holdAt", "cap"] as const).map((name) =>
        replaced(LearnedPace.prototype, name, () => () => undefined),
      );
      return () => {
        for (const one of undo) one();
      };
    },
  },
];
