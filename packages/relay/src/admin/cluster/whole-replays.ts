/**
 * Replays over the partitions of a cluster, for overviews: each once, with the sums of its
 * partitions, also of those that no relay tells of.
 */
import type { Clock } from "@waybill/core";
import type { ClusterReplays } from "../../cluster/cluster-replays.ts";
import type { Overview, OverviewReplay, ReplayView } from "../views.ts";
import { withinTime } from "./peer-chunks.ts";
import { grouped, rounded, sumOf } from "./sums.ts";

const EVERY_MS = 1_000;
/** Brokers that do not answer hold up no overview: the replays are then as they were read last. */
const DEADLINE_MS = 2_000;

export type ReplaysByEnvironment = ReadonlyMap<string, Pick<ClusterReplays, "views">>;

/**
 * `running`: what relays tell of the parts that they run. **Errors**: `WAYBILL_LOG_UNAVAILABLE`.
 */
export async function replaysOverPartitions(
  replays: ReplaysByEnvironment,
  running: readonly ReplayView[],
): Promise<readonly ReplayView[]> {
  const views = await Promise.all([...replays.values()].map((one) => one.views(running)));
  return views.flat();
}

export class WholeReplays {
  readonly #clock: Clock;
  readonly #replays: () => ReplaysByEnvironment | undefined;
  #last: readonly ReplayView[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(clock: Clock, replays: () => ReplaysByEnvironment | undefined) {
    this.#clock = clock;
    this.#replays = replays;
  }

  /** As they were read last; read again, for the next call, when that is a second ago. */
  last(overviews: readonly Overview[]): readonly OverviewReplay[] {
    const nowMs = this.#clock.monotonic();
    if (this.#reading === undefined && nowMs - this.#readAtMs >= EVERY_MS) {
      this.#readAtMs = nowMs;
      this.#reading = this.#read(overviews).finally(() => {
        this.#reading = undefined;
      });
    }
    return withRates(this.#last, overviews);
  }

  /** As they are now. */
  async now(overviews: readonly Overview[]): Promise<readonly OverviewReplay[]> {
    await withinTime(this.#read(overviews), this.#clock, DEADLINE_MS).catch(() => undefined);
    return withRates(this.#last, overviews);
  }

  /** Never rejects. */
  async #read(overviews: readonly Overview[]): Promise<void> {
    const running = overviews.flatMap(({ replays }) => replays);
    const replays = this.#replays() ?? new Map();
    await replaysOverPartitions(replays, running).then(
      (views) => {
        this.#last = views;
      },
      () => undefined,
    );
  }
}

/** One of which only its parts are known is shown as the first of them. */
function withRates(known: readonly ReplayView[], overviews: readonly Overview[]): readonly OverviewReplay[] {
  const running = grouped(
    overviews.flatMap(({ replays }) => replays),
    ({ id }) => id,
  );
  const ids = new Set(known.map(({ id }) => id));
  return [
    ...known.map((replay) => {
      const parts = running.get(replay.id) ?? [];
      return { ...replay, eventsPerSecond: rounded(sumOf(parts, ({ eventsPerSecond }) => eventsPerSecond)) };
    }),
    ...[...running].flatMap(([id, [first]]) => (ids.has(id) || first === undefined ? [] : [first])),
  ];
}
