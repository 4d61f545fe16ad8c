/**
 * The replays of one lane: who delivers a destination's partition also replays it. What was asked
 * for is in the topic `<prefix>.desired`, how far each is in the lane's own state. A replay that is
 * done, or is to end, is over once its ledger is in the topic; only then is it dropped from the
 * state. So a relay that dies between any two steps leaves what its successor needs for the next.
 */
import type { Clock, Timer } from "@waybill/core";
import type { Log } from "@waybill/log";
import type { Replays } from "../delivery/replays.ts";
import type { StoredReplay } from "../delivery/stored-replay.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import { type AskedReplay, type PartLedger, partKey, type ReplayPart, type ReplayRecords } from "./asked-replays.ts";
import type { LanesOf } from "./desired-state.ts";
import type { LaneWithReplays, ReplayProgress } from "./lane-with-replays.ts";
import { kindOf } from "./outage.ts";

export interface LaneReplaysOptions extends LanesOf {
  readonly partition: number;
  readonly log: Pick<Log, "head">;
  readonly deadLetters: Pick<Log, "head">;
  readonly replays: Pick<Replays, "join" | "stop" | "leave">;
  readonly state: LaneWithReplays;
  readonly records: ReplayRecords;
  readonly clock: Clock;
  readonly report: WriteLine;
}

/**
 * They share the state of the lane, which has little room; others wait for their turn. One that is
 * done or cancelled has its place until its ledger is in the topic.
 */
const REPLAYS_AT_ONCE = 2;
/** Before something that failed is tried again. */
const AGAIN_MS = 2_000;
/** Before it is looked again whether the log was read far enough. */
const LOOK_MS = 100;

export class LaneReplays {
  readonly #options: LaneReplaysOptions;
  /** Those that this relay has begun. */
  readonly #joined = new Set<string>();
  /** Whose ledger is being written to the topic. */
  readonly #ending = new Set<string>();
  /** Kinds of errors, since it last worked. */
  readonly #reported = new Set<string>();
  /** Since it was looked last. */
  #hasFailed = false;
  #looking: Promise<void> = Promise.resolve();
  /** It is looked once more after that, and has not begun. */
  #isDue = false;
  #again: Timer | undefined;
  #isClosed = false;

  constructor(options: LaneReplaysOptions) {
    this.#options = options;
  }

  /** Takes the next step of each replay that has one. Never throws. */
  look(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#looking = this.#looking.then(async () => {
      this.#isDue = false;
      try {
        this.#hasFailed = false;
        await this.#look();
        if (!this.#hasFailed && this.#ending.size === 0) this.#reported.clear();
      } catch (error) {
        this.#later(AGAIN_MS, error);
      }
    });
  }

  /** What is in flight may take until the deadline. The state is written after that. */
  async close(deadlineMs: number): Promise<void> {
    this.#isClosed = true;
    this.#again?.cancel();
    await this.#looking;
    await Promise.all([...this.#joined].map((id) => this.#options.replays.leave(id, deadlineMs)));
  }

  async #look(): Promise<void> {
    if (this.#isClosed) return;
    const { environment, destination, partition, state, records } = this.#options;
    const hasBegun = ({ id }: AskedReplay): boolean => state.progressOf(id) !== undefined;
    const asked = records
      .replaysOf(environment)
      .filter((replay) => replay.destination === destination)
      .toSorted((one, other) => turnOf(state.progressOf(one.id)) - turnOf(state.progressOf(other.id)));
    await this.#forget(new Set(asked.map(({ id }) => id)));
    // Whose turn it is, though they cannot begin yet.
    let coming = 0;
    for (const replay of asked) {
      const part = replay.parts.find((one) => one.partition === partition);
      if (part === undefined || this.#isClosed || !state.isOurs) continue;
      const { id } = replay;
      if (replay.ended.has(partition)) {
        await this.#options.replays.stop(id, 0);
        state.drop(id);
      } else if (replay.isCancelled || state.progressOf(id)?.done === true) await this.#end(replay, part);
      else if (hasBegun(replay) || state.replays.length + coming < REPLAYS_AT_ONCE) {
        await this.#run(replay, part);
        if (!hasBegun(replay)) coming += 1;
      }
    }
  }

  /** What nobody asks for any more. */
  async #forget(asked: ReadonlySet<string>): Promise<void> {
    const { state, replays, records, environment } = this.#options;
    for (const { id } of state.replays) if (!asked.has(id) && records.isForgotten({ environment, id })) state.drop(id);
    for (const id of this.#joined) {
      if (asked.has(id)) continue;
      await replays.leave(id, 0);
      this.#joined.delete(id);
    }
  }

  async #run(replay: AskedReplay, part: ReplayPart): Promise<void> {
    const { log, deadLetters, replays, state } = this.#options;
    const { id } = replay;
    if (this.#joined.has(id)) return;
    // What was not read yet would be taken for gone.
    const { head } = "log" in replay.choice ? log : deadLetters;
    if (head < part.to) return this.#later(LOOK_MS);
    const own = state.replay(storedReplay(replay, part, state.progressOf(id)));
    await replays.join({
      ...own,
      write: async (value) => {
        await own.write(value);
        if (value.done) this.look();
      },
    });
    this.#joined.add(id);
    // There may have been nothing to send.
    if (own.initial.done) this.look();
  }

  async #end({ environment, id }: AskedReplay, part: ReplayPart): Promise<void> {
    const { replays, state, partition, records } = this.#options;
    if (this.#ending.has(id)) return;
    await replays.stop(id);
    // Only the owner may say how far it is; whoever comes after it reads the same.
    if (!state.isFinal(id)) await state.confirm();
    if (!state.isOurs) return;
    const ledger = ledgerOf(part, state.progressOf(id));
    this.#ending.add(id);
    // Its own record is what ends it, when it is read.
    void records
      .writeReplay(partKey({ environment, id }, partition), JSON.stringify(ledger))
      .catch((error: unknown) => this.#later(AGAIN_MS, error))
      .finally(() => this.#ending.delete(id));
  }

  #later(afterMs: number, error?: unknown): void {
    const { environment, destination, partition, clock, report, state } = this.#options;
    if (this.#isClosed || !state.isOurs) return;
    if (error !== undefined) {
      const kind = kindOf(error);
      if (!this.#reported.has(kind))
        report("replay_not_run", { environment, destination, partition, error: safeError(error) });
      this.#reported.add(kind);
      this.#hasFailed = true;
    }
    this.#again?.cancel();
    this.#again = clock.after(afterMs, () => this.look());
  }
}

/**
 * What is done makes room. What may have been sent is what no other one may choose. What has begun
 * has its place, whatever comes before it by its id.
 */
function turnOf(progress: ReplayProgress | undefined): number {
  if (progress === undefined) return 3;
  if (progress.done) return 0;
  return progress.leased > 0 ? 1 : 2;
}

/** Each partition has its share of the rate. */
function storedReplay(replay: AskedReplay, part: ReplayPart, progress: ReplayProgress | undefined): StoredReplay {
  const { id, destination, choice, createdAtMs, eventsPerSecond, parts } = replay;
  const { from, to } = part;
  return {
    id,
    destination,
    choice: "log" in choice ? { log: { ...choice.log, from, to } } : choice,
    to,
    createdAtMs,
    ...(eventsPerSecond === undefined ? {} : { eventsPerSecond: eventsPerSecond / parts.length }),
    cancelled: false,
    cursor: from,
    leased: 0,
    done: false,
    ...ledgerOf(part, progress),
    ...progress,
  };
}

export function ledgerOf({ total }: ReplayPart, progress: PartLedger | undefined): PartLedger {
  const { delivered = 0, rejected = 0, expired = 0, dropped = {} } = progress ?? {};
  return { total, delivered, rejected, expired, dropped };
}
