/** A lane's store over a log on a simulated disk, as a relay opens it. */
import {
  DeadLetters,
  Fates,
  fateTailOf,
  LaneState,
  type LaneStateValue,
  type Log,
  LogStore,
  type LogStoreDelivery,
  newLaneState,
  openLog,
  parseLaneState,
  type ReadMemory,
} from "@waybill/log";
import { SimDisk, VirtualClock } from "@waybill/testing";

export interface OpenStoreOptions {
  readonly disk?: SimDisk;
  readonly clock?: VirtualClock;
  readonly segmentMaxBytes?: number;
  readonly delivery?: Partial<LogStoreDelivery>;
  readonly memory?: ReadMemory;
  /** What the state says in place of what was written. */
  readonly changed?: (state: LaneStateValue, log: Log) => LaneStateValue;
}

export interface OpenedStore {
  readonly disk: SimDisk;
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly store: LogStore;
  readonly fates: Fates;
  readonly dead: Log;
}

export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  const {
    disk = new SimDisk(),
    clock = new VirtualClock(),
    segmentMaxBytes = 300,
    delivery = {},
    changed,
    memory,
  } = options;
  const runtime = { disk, clock };
  const log = await openLog({ directory: "/log", segmentMaxBytes }, runtime);
  const written = await LaneState.open<LaneStateValue>(
    disk,
    "/lanes",
    "a",
    (damaged) => newLaneState(log, damaged),
    parseLaneState,
  );
  const state = changed === undefined ? written : Object.assign(written, { initial: changed(written.initial, log) });
  const deadLetters = await DeadLetters.open("/dead", log.head, runtime, state.initial.dead);
  const fates = await Fates.open({ directory: "/fates", runtime, tail: fateTailOf(state.initial) });
  const rest = memory === undefined ? {} : { memory };
  const store = new LogStore({ name: "a", log, state, fates, deadLetters, clock, delivery, ...rest });
  return { disk, clock, log, store, fates, dead: deadLetters.log };
}

/** Appends events as one record. */
export async function push(log: Log, texts: readonly string[], metadata = ""): Promise<void> {
  let end = -1;
  const ends = Uint32Array.from(texts, (text) => (end += 1 + Buffer.byteLength(text)));
  await log.append({ source: "web", receivedAtMs: 7, metadata, body: [Buffer.from(texts.join(","))], ends });
}
