/**
 * The overviews of the other relays, for who watches: each relay is asked at most once a second,
 * whoever watches, and not at all while nobody does. One that hangs holds up nobody: what it
 * answered last is shown until its deadline.
 */
import type { Clock } from "@waybill/core";
import { overview as overviewSchema } from "../schemas/live.ts";
import type { Overview } from "../views.ts";
import type { Peers } from "./peers.ts";
import { type OthersReports, reportsOf } from "./reports.ts";
import { wholeOverview } from "./whole-overview.ts";
import type { WholeReplays } from "./whole-replays.ts";

const EVERY_MS = 1_000;
const DEADLINE_MS = 2_000;

interface Polled {
  askedAtMs: number;
  asking: Promise<void> | undefined;
  last: OthersReports<Overview>;
}

interface PolledOptions {
  readonly peers: () => Peers | undefined;
  readonly replays: WholeReplays;
}

export class PolledOverviews {
  readonly #clock: Clock;
  readonly #peers: () => Peers | undefined;
  readonly #replays: WholeReplays;
  /** By id of the relay. */
  #polled = new Map<string, Polled>();

  constructor(clock: Clock, { peers, replays }: PolledOptions) {
    this.#clock = clock;
    this.#peers = peers;
    this.#replays = replays;
  }

  /** As of the last answers. Those that are due are asked again, for the next call. */
  whole(here: Overview): Overview {
    const peers = this.#peers();
    if (peers === undefined) return here;
    this.#poll(peers);
    const last = [...this.#polled.values()].map((one) => one.last);
    const others = {
      found: last.flatMap(({ found }) => found),
      unanswered: last.flatMap(({ unanswered }) => unanswered),
    };
    const replays = this.#replays.last([here, ...others.found.map(({ value }) => value)]);
    return wholeOverview(here, others, { partitions: peers.partitions, replays });
  }

  /** Resolves when each of the others has answered once, or its deadline is over. */
  async answered(): Promise<void> {
    const peers = this.#peers();
    if (peers === undefined) return;
    this.#poll(peers);
    const isNew = ({ last }: Polled): boolean => last.found.length + last.unanswered.length === 0;
    for (const one of this.#polled.values()) if (isNew(one)) await one.asking;
  }

  /** Relays that are missing, or stopped, are forgotten with what they answered. */
  #poll(peers: Peers): void {
    const nowMs = this.#clock.monotonic();
    const before = this.#polled;
    this.#polled = new Map();
    for (const relay of peers.relays()) {
      if (relay.isSelf || relay.isMissing) continue;
      const one = before.get(relay.id) ?? {
        askedAtMs: Number.NEGATIVE_INFINITY,
        asking: undefined,
        last: { found: [], unanswered: [] },
      };
      this.#polled.set(relay.id, one);
      if (one.asking !== undefined || nowMs - one.askedAtMs < EVERY_MS) continue;
      one.askedAtMs = nowMs;
      one.asking = peers
        .request(relay, { method: "GET", path: "/v1/overview", body: "", deadlineMs: DEADLINE_MS })
        .then((answer) => {
          one.last = reportsOf([answer], overviewSchema);
          one.asking = undefined;
        });
    }
  }
}
