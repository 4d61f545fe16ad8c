import { type Clock, messageOf, sleep, WaybillError } from "@waybill/core";
import { PartitionLog } from "@waybill/log-kafka";
import { partitionOf } from "../../cluster/partition-name.ts";
import type { SharedTurns } from "../../delivery/turns.ts";
import type { Environment } from "../../environment.ts";
import { printRange } from "../../receipt.ts";
import { isFromRelay } from "../cluster/pass-on.ts";
import { PeerTails } from "../cluster/peer-tails.ts";
import { quoted, unknown } from "../refusal.ts";
import { heartbeat, interruptedText, LISTENING, LOOK_MS, SSE_HEADERS } from "../streams.ts";
import { type TailFilter, tail } from "../tail.ts";
import type { AdminView } from "../view.ts";
import type { Call } from "./call.ts";
import { chosenEnvironment } from "./lookup.ts";

/** Streams events as they are stored, of one environment or of all; in a cluster of all relays. */
export async function streamTail(view: AdminView, call: Call<"tail">): Promise<void> {
  const { request, response, query, streams, isAllowed, turns: shared } = call;
  const { environment: name, source, ...names } = query;
  const scope = scopeOf(view, name);
  checkSource(view, name, source);
  const { clock } = view;
  const first = scope.environments();
  const stream = streams.open(response, SSE_HEADERS);
  const stopHeartbeat = heartbeat(clock, stream, isAllowed);
  const { signal } = stream;
  const emit = (text: string | Buffer): Promise<boolean> => stream.write(text);
  const filter = { ...names, ...(source === undefined ? {} : { source }) };
  const peers = scope.isWhole && !isFromRelay(request) ? view.peers?.() : undefined;
  const others = peers && new PeerTails({ clock, peers, path: request.url ?? "", emit, signal });
  try {
    const here = followHere(scope, first, { clock, emit, filter, signal, shared });
    const listen = async (): Promise<void> => {
      await others?.begin();
      // Tells the watcher that from here on nothing is missed.
      await stream.write(LISTENING);
      await others?.run();
    };
    await Promise.all([here, listen()]);
  } finally {
    stopHeartbeat();
    stream.end();
  }
}

interface Scope {
  /** What is to be followed here now. */
  readonly environments: () => readonly Environment[];
  /** It goes on while nothing of it is here. */
  readonly isWhole: boolean;
}

function scopeOf(view: AdminView, name: string | undefined): Scope {
  const isInCluster = view.peers?.() !== undefined;
  if (name !== undefined && (!isInCluster || partitionOf(name) !== undefined)) {
    chosenEnvironment(view, name);
    return { environments: () => view.environments().filter((one) => one.name === name), isWhole: false };
  }
  if (!isInCluster) return { environments: () => view.environments(), isWhole: false };
  const plans = view.plan().filter(({ environment }) => name === undefined || name === environment);
  if (plans.length === 0) throw unknown("unknown_environment", `There is no environment ${quoted(name ?? "")}.`);
  // A partition may be at several relays: who delivers it to the first destination shows it.
  const isShown = (one: Environment): boolean => {
    const plan = view.plan().find(({ environment }) => environment === partitionOf(one.name)?.environment);
    const [first] = plan?.destinations ?? [];
    const isChosen = name === undefined || plan?.environment === name;
    return isChosen && first !== undefined && one.destination(first.destination) !== undefined;
  };
  return { environments: () => view.environments().filter(isShown), isWhole: true };
}

function checkSource(view: AdminView, name: string | undefined, source: string | undefined): void {
  const wanted = name === undefined ? undefined : (partitionOf(name)?.environment ?? name);
  const plans = view.plan().filter(({ environment }) => wanted === undefined || environment === wanted);
  if (source !== undefined && !plans.some(({ sources }) => sources.some((one) => one.source === source)))
    throw unknown("unknown_source", `There is no source ${quoted(source)}.`);
}

interface FollowOptions {
  readonly clock: Clock;
  readonly emit: (text: string) => Promise<boolean>;
  readonly filter: Omit<TailFilter, "environment">;
  readonly signal: AbortSignal;
  readonly shared: SharedTurns;
}

interface Followed {
  readonly ended: AbortController;
  /** Never rejects. */
  readonly done: Promise<void>;
}

/** Until the signal aborts, or what was chosen is not here any more. */
async function followHere(
  scope: Scope,
  first: readonly Environment[],
  { clock, emit, filter, signal, shared }: FollowOptions,
): Promise<void> {
  const followed = new Map<Environment, Followed>();
  const errors: unknown[] = [];
  const follow = async (environment: Environment, ended: AbortSignal): Promise<void> => {
    const { name, log } = environment;
    const receiptAt = receiptsOf(environment);
    const options = { clock, emit, signal: AbortSignal.any([signal, ended]), shared, receiptAt };
    await tail(log, { environment: name, ...filter }, options).catch(async (error: unknown) => {
      // The next look finds it gone.
      if (error instanceof WaybillError && error.code === "WAYBILL_CLOSED") return;
      errors.push(error);
      await emit(interruptedText(`The tail of ${name} came to an end: ${messageOf(error)}.`));
    });
  };
  try {
    for (let now = first; ; now = scope.environments()) {
      for (const [environment, { ended }] of followed) {
        if (now.includes(environment)) continue;
        followed.delete(environment);
        ended.abort();
        const why = "is going to another relay, or was removed: events that come meanwhile are not shown.";
        await emit(interruptedText(`${environment.name} ${why}`));
      }
      for (const environment of now) {
        if (followed.has(environment)) continue;
        const ended = new AbortController();
        followed.set(environment, { ended, done: follow(environment, ended.signal) });
      }
      const isOver = !scope.isWhole && (followed.size === 0 || errors.length > 0);
      if (isOver || !(await sleep(clock, LOOK_MS, signal))) break;
    }
  } finally {
    for (const { ended } of followed.values()) ended.abort();
    await Promise.all([...followed.values()].map(({ done }) => done));
  }
  const defect = errors.find((error) => !(error instanceof WaybillError));
  if (defect !== undefined) throw defect;
}

/** Of each position that its tail has just read; on the disk a position is enough. */
function receiptsOf({ name, log }: Environment): ((position: number) => string) | undefined {
  const split = partitionOf(name);
  if (split === undefined || !(log instanceof PartitionLog)) return undefined;
  const { environment, partition } = split;
  return (position) => {
    const { offset, position: first } = log.placeBefore(position);
    return `${environment}/${printRange({ partition, offset, index: position - first, count: 1 })}`;
  };
}
