/**
 * Requests about what another relay of the cluster has. One about a single lane or partition is
 * passed on to the relay that has it; one about all of them is answered together with the others.
 * Either goes one step: a request that comes from a relay is answered by the relay it came to.
 */
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { partitionOf } from "../../cluster/partition-name.ts";
import type { RelayEntry } from "../../cluster/relay-directory.ts";
import { type Answer, problem, writeAnswer } from "../../intake/answers.ts";
import type { Call } from "../handlers/call.ts";
import { quoted, Refusal } from "../refusal.ts";
import type { Operation } from "../routes/table.ts";
import type { AdminView } from "../view.ts";
import { ownerOf } from "./cluster-view.ts";
import { passStream } from "./pass-stream.ts";
import { faultText, type PeerRequest, type Peers } from "./peers.ts";
import { RELAY_HEADER } from "./relay-signature.ts";
import { type OthersReports, reportsOf } from "./reports.ts";
import { isElsewhere, nameUnanswered, unanswered } from "./unanswered.ts";

/** What of a request says which relay it is for. */
export interface Passable {
  readonly operation: Operation;
  readonly call: Call<Operation>;
  /** As it came, parsed. */
  readonly body: unknown;
}

/** To be passed on. It may read much of a log, or give a million dead letters up. */
export const PASSED_DEADLINE_MS = 30_000;
/** To be answered together: one that hangs does not hold up the others for longer. */
const TOGETHER_DEADLINE_MS = 5_000;
const AGAIN_S = "5";
/** About one lane, by the path or the body. */
const OF_LANE: ReadonlySet<Operation> = new Set<Operation>([
  "showLane",
  "showHistory",
  "listRecentAttempts",
  "probeLane",
  "moveCursor",
  "listDeadLetters",
  "listReasons",
  "retryDeadLetters",
  "discardDeadLetters",
  "watchAttempts",
  "exportDeadLetters",
]);
/** About the log of a partition: any relay that has it. */
const OF_PARTITION: ReadonlySet<Operation> = new Set<Operation>(["showEvent", "searchEvents", "tail"]);
const STREAMS: ReadonlySet<Operation> = new Set<Operation>(["watchAttempts", "exportDeadLetters", "tail"]);
/** What an address of somebody else's gives as another type is not shown as ours. */
const PASSED_TYPE = /^application\/(?:problem\+)?json$/;

interface Place {
  readonly environment: string;
  readonly partition: number;
  /** Absent: any lane of the partition. */
  readonly destination: string | undefined;
}

/**
 * Answers as the relay that has what the request is about; false when this one has. Throws a
 * refusal when nobody answers.
 */
export async function passOn(view: AdminView, { operation, call, body }: Passable): Promise<boolean> {
  const { request, response } = call;
  const peers = view.peers?.();
  if (peers === undefined || isFromRelay(request)) return false;
  const place = placeOf(operation, call, body);
  if (place === undefined || isHere(view, place)) return false;
  if (place.partition >= peers.partitions || !isConfigured(view, place)) return false;
  const relay = relayOf(peers, place);
  if (relay === undefined || relay.isSelf) throw withoutRelay(place);
  if (STREAMS.has(operation))
    await passStream(view, { operation, call, peers, relay, elsewhere: () => withoutRelay(place) });
  else writeAnswer(response, await passedAnswer(peers, relay, { request, place, body }));
  return true;
}

async function passedAnswer(
  peers: Peers,
  relay: RelayEntry,
  { request, place, body }: { readonly request: IncomingMessage; readonly place: Place; readonly body: unknown },
): Promise<Answer> {
  const asked = await peers.request(relay, {
    method: request.method as PeerRequest["method"],
    path: request.url ?? "",
    body: body === undefined ? "" : JSON.stringify(body),
    deadlineMs: PASSED_DEADLINE_MS,
    isLong: true,
  });
  if ("fault" in asked) throw unanswered([faultText(asked)]);
  const { status, headers, body: text } = asked.response;
  // It has given the lane up since it was heard of.
  if (isElsewhere(asked.response)) throw withoutRelay(place);
  const { "content-type": type = "", "retry-after": retryAfter } = headers;
  const passed = {
    ...(PASSED_TYPE.test(type) ? { "content-type": type } : {}),
    ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
  };
  return { status, headers: passed, body: text };
}

/**
 * What the others answer to the same request. Who does not answer is named in a header of the
 * answer; what is not found there is no answer. Empty on the disk, and for a request that comes
 * from a relay.
 */
export async function othersAnswers<S extends z.ZodType>(
  view: AdminView,
  call: Pick<Call<Operation>, "request" | "response">,
  schema: S,
): Promise<{ readonly found: readonly z.infer<S>[]; readonly faults: readonly string[] }> {
  const { found, unanswered } = await othersReports(view, call, schema);
  return { found: found.map(({ value }) => value), faults: unanswered.map(faultText) };
}

/** As {@link othersAnswers}, with whose each answer is. */
export async function othersReports<S extends z.ZodType>(
  view: AdminView,
  { request, response }: Pick<Call<Operation>, "request" | "response">,
  schema: S,
): Promise<OthersReports<z.infer<S>>> {
  const peers = view.peers?.();
  if (peers === undefined || isFromRelay(request)) return { found: [], unanswered: [] };
  const { method, url: path = "" } = request;
  const asked = { method: method as PeerRequest["method"], path, body: "", deadlineMs: TOGETHER_DEADLINE_MS };
  const reports = reportsOf(await peers.requestAll(asked), schema);
  nameUnanswered(response, reports.unanswered.map(faultText));
  return reports;
}

/** Whether another relay passes the request on, or asks all. */
export function isFromRelay({ headers }: IncomingMessage): boolean {
  return Object.hasOwn(headers, RELAY_HEADER);
}

/** `undefined` for a request that names no partition. */
function placeOf(operation: Operation, { params, query }: Call<Operation>, body: unknown): Place | undefined {
  const isLane = OF_LANE.has(operation);
  if (!isLane && !OF_PARTITION.has(operation)) return undefined;
  const given = { ...asObject(body), ...asObject(query), ...asObject(params) };
  const { environment, destination } = given;
  const split = typeof environment === "string" ? partitionOf(environment) : undefined;
  if (split === undefined || (isLane && typeof destination !== "string")) return undefined;
  return { ...split, destination: isLane ? String(destination) : undefined };
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function isHere(view: AdminView, { environment, partition, destination }: Place): boolean {
  const here = view.environment(`${environment}/${partition}`);
  return destination === undefined ? here !== undefined : here?.destination(destination) !== undefined;
}

/** Whether there is such a destination, or environment. */
export function isConfigured(view: AdminView, { environment, destination }: Omit<Place, "partition">): boolean {
  const plan = view.plan().find((one) => one.environment === environment);
  if (plan === undefined) return false;
  return destination === undefined || plan.destinations.some((one) => one.destination === destination);
}

function relayOf(peers: Peers, { environment, partition, destination }: Place): RelayEntry | undefined {
  const relays = peers.relays();
  if (destination !== undefined) return ownerOf(relays, { environment, partition, destination });
  const has = ({ lanes }: RelayEntry): boolean =>
    lanes.some((lane) => lane.environment === environment && lane.partition === partition);
  return relays.find((relay) => !relay.isMissing && !relay.isSelf && has(relay));
}

function withoutRelay({ environment, partition, destination }: Place): Refusal {
  const lane = `${quoted(environment)}/${partition}${destination === undefined ? "" : `/${quoted(destination)}`}`;
  const message = `No relay is known to have ${lane} now: it may be on its way to another one. GET /v1/cluster shows who has what.`;
  return new Refusal(problem(503, "lane_without_relay", message, { "retry-after": AGAIN_S }));
}
