/** Dead letters of a destination over all partitions of a cluster: the answers of each as one. */
import type { Clock } from "@waybill/core";
import type { RelayEntry } from "../../cluster/relay-directory.ts";
import { type Answer, jsonAnswer, problem } from "../../intake/answers.ts";
import {
  type AllPartitions,
  type LaneParams,
  listed,
  NO_RELAY,
  type PartitionAnswer,
  pathOf,
  type WholeDestination,
} from "../cluster/all-partitions.ts";
import { passExport } from "../cluster/pass-stream.ts";
import { sumOf } from "../cluster/sums.ts";
import { invalid, quoted, Refusal } from "../refusal.ts";
import type { Operation } from "../routes/table.ts";
import { discarded, replayCount } from "../schemas/actions.ts";
import { deadLetterPage, deadLetterReasons } from "../schemas/inspection.ts";
import { replay } from "../schemas/overview.ts";
import { LINES_HEADERS, type Stream } from "../streams.ts";
import type { DeadLetterPage, DeadLetterReasons } from "../views.ts";
import { answerOf, type Call } from "./call.ts";

/** What a route checks, of one partition or of all. */
export type Query<O extends Operation> = Call<O>["query"] & object;

/** As of a page of one partition: one that is full of large events ends earlier. */
const PAGE_MAX_CHARACTERS = 1024 * 1024;
const GROUPS_MAX = 100;
/** Of an event a second: a rate has three decimals, and is not below the last of them. */
const RATE_STEPS = 1_000;

/** One partition after another, from the place of the cursor on. */
export async function pageOfAll(
  all: AllPartitions<Query<"listDeadLetters">>,
  { after, id, limit, ...filter }: Query<"listDeadLetters">,
): Promise<Answer> {
  const begin = after === undefined ? undefined : nameOf(all, after);
  const texts: string[] = [];
  let shown = 0;
  let characters = 0;
  let damaged = 0;
  let last = after;
  for (const [partition, ids] of chosenPartitions(all, id)) {
    if (begin !== undefined && partition < begin.partition) continue;
    const isFull = shown >= limit || characters > PAGE_MAX_CHARACTERS;
    // A page that is full asks whether there are more.
    const query = { ...filter, ...ids, limit: isFull ? 1 : limit - shown };
    const from = partition === begin?.partition ? { after: begin.id } : {};
    const part = await all.request(partition, { ...query, ...from }, pageOf(partition));
    if (part === undefined) continue;
    const { deadLetters, next } = part.value;
    damaged += part.value.damaged;
    const newest = deadLetters.at(-1);
    if (newest === undefined) continue;
    if (isFull) return pageAnswer(texts, { next: last, damaged });
    const text = itemsOf(part);
    texts.push(text);
    shown += deadLetters.length;
    characters += text.length;
    last = `${partition}:${newest.deadLetterId}`;
    if (next !== undefined) return pageAnswer(texts, { next: last, damaged });
  }
  return pageAnswer(texts, { damaged });
}

/** Each says which partition it is of: what acts on it needs that. */
function pageOf(partition: number): typeof deadLetterPage {
  return deadLetterPage.refine(({ deadLetters }) => deadLetters.every((dead) => dead.partition === partition));
}

function pageAnswer(
  texts: readonly string[],
  { next, damaged }: { readonly next?: string | undefined; readonly damaged: number },
): Answer {
  const rest = JSON.stringify({ next, damaged }).slice(1);
  return jsonAnswer(200, `{"deadLetters":[${texts.join(",")}],${rest}`);
}

/** With the events' own bytes: parsing them could change a number. */
function itemsOf({ text, value }: PartitionAnswer<DeadLetterPage>): string {
  const [, items] = /^\{"deadLetters":\[(.*)\](?:,"next":\d+)?,"damaged":\d+\}$/s.exec(text) ?? [];
  return items ?? JSON.stringify(value.deadLetters).slice(1, -1);
}

export async function reasonsOfAll(
  all: AllPartitions<Query<"listReasons">>,
  { id, ...filter }: Query<"listReasons">,
): Promise<Answer> {
  const chosen = chosenPartitions(all, id);
  const parts = await all.requestEach(
    [...chosen.keys()],
    (at) => ({ ...filter, ...chosen.get(at) }),
    deadLetterReasons,
  );
  const groups = new Map<string, DeadLetterReasons["groups"][number]>();
  for (const { partition, value } of parts)
    for (const group of value.groups) {
      const known = groups.get(group.reason);
      groups.set(group.reason, known === undefined ? { ...group, partition } : joined(known, { ...group, partition }));
    }
  const sorted = [...groups.values()].sort((one, other) => other.waiting - one.waiting || other.last - one.last);
  const left = sumOf(sorted.slice(GROUPS_MAX), ({ waiting }) => waiting);
  const others = left + sumOf(parts, ({ value }) => value.others);
  return answerOf<"listReasons", 200>(200, { groups: sorted.slice(0, GROUPS_MAX), others });
}

type Group = DeadLetterReasons["groups"][number];

function joined(one: Group, other: Group): Group {
  const newest = other.last > one.last ? other : one;
  const { waiting, first } = one;
  return { ...newest, waiting: waiting + other.waiting, first: Math.min(first, other.first) };
}

/** A replay for each partition that has some, which share the rate by their numbers. */
export async function retryOfAll(
  all: AllPartitions<Query<"retryDeadLetters">>,
  { id, dryRun, eventsPerSecond, ...filter }: Query<"retryDeadLetters">,
): Promise<Answer> {
  const chosen = chosenPartitions(all, id);
  const queryOf = (at: number): Query<"retryDeadLetters"> => ({ ...filter, ...chosen.get(at) });
  const counted = await all.requestEach([...chosen.keys()], (at) => ({ ...queryOf(at), dryRun: true }), replayCount);
  const events = sumOf(counted, ({ value }) => value.events);
  if (dryRun === true) return answerOf<"retryDeadLetters", 200>(200, { events });
  const some = counted.filter(({ value }) => value.events > 0);
  const shares = new Map(some.map(({ partition, value }) => [partition, value.events / events]));
  const begun = await all.requestEach(
    [...shares.keys()],
    (at) => ({
      ...queryOf(at),
      ...(eventsPerSecond === undefined ? {} : { eventsPerSecond: shareOf(eventsPerSecond, shares.get(at) ?? 0) }),
    }),
    replay,
  );
  const replays = begun.map(({ value }) => value);
  const sent = sumOf(replays, ({ account }) => account.accepted);
  return answerOf<"retryDeadLetters", 202>(202, { events: sent, replays });
}

function shareOf(eventsPerSecond: number, share: number): number {
  return Math.max(1, Math.floor(eventsPerSecond * share * RATE_STEPS)) / RATE_STEPS;
}

export async function discardOfAll(
  all: AllPartitions<Query<"discardDeadLetters">>,
  { id, ...filter }: Query<"discardDeadLetters">,
): Promise<Answer> {
  const chosen = chosenPartitions(all, id);
  const parts = await all.requestEach([...chosen.keys()], (at) => ({ ...filter, ...chosen.get(at) }), discarded);
  return answerOf<"discardDeadLetters", 200>(200, {
    events: sumOf(parts, ({ value }) => value.events),
    discarded: sumOf(parts, ({ value }) => value.discarded),
  });
}

interface ExportOptions {
  readonly call: Call<"exportDeadLetters">;
  readonly clock: Clock;
  /** Writes what is here of a partition; whether that was all. */
  readonly here: (params: LaneParams, query: Query<"exportDeadLetters">, stream: Stream) => Promise<boolean>;
}

/** One partition after another. All of it, or an answer that breaks off. */
export async function exportOfAll(whole: WholeDestination, { call, clock, here }: ExportOptions): Promise<void> {
  const { response, streams } = call;
  const { id, ...filter } = call.query;
  const chosen = chosenPartitions(whole, id);
  const missing = [...chosen.keys()].filter((partition) => whole.placeOf(partition) === undefined);
  if (missing.length > 0) {
    const message = `${listed(missing)}: ${NO_RELAY}. An export has all partitions, or those that are named one by one.`;
    throw new Refusal(problem(503, "lane_without_relay", message, { "retry-after": "5" }));
  }
  const stream = streams.open(response, LINES_HEADERS);
  for (const [partition, ids] of chosen) {
    const params = whole.paramsOf(partition);
    const query = { ...filter, ...ids };
    const relay = whole.placeOf(partition);
    const passed = (from: RelayEntry): Promise<boolean> => {
      const path = pathOf("exportDeadLetters", params, query);
      return passExport(stream, { peers: whole.peers, relay: from, path, clock });
    };
    const isAll = relay === "here" ? here(params, query, stream) : relay !== undefined && passed(relay);
    if (!(await isAll)) return void response.destroy();
  }
  stream.end();
}

/** Partitions, in their order, with the ids that were named of each. */
function chosenPartitions(
  all: Pick<WholeDestination, "partitions">,
  names: readonly string[] | undefined,
): ReadonlyMap<number, { readonly id?: string[] }> {
  if (names === undefined) return new Map(all.partitions.map((partition) => [partition, {}]));
  const ids = new Map<number, string[]>();
  for (const name of names) {
    const { partition, id } = nameOf(all, name);
    ids.set(partition, [...(ids.get(partition) ?? []), id]);
  }
  return new Map(
    all.partitions.flatMap((partition) => {
      const id = ids.get(partition);
      return id === undefined ? [] : [[partition, { id }]];
    }),
  );
}

/** The parts of `3:17`. */
function nameOf(
  { partitions }: Pick<WholeDestination, "partitions">,
  name: string,
): { readonly partition: number; readonly id: string } {
  const [partition = "", id] = name.split(":");
  if (id === undefined) throw invalid(`Each partition has its own ${quoted(name)}: write it as 0:${quoted(name)}.`);
  if (Number(partition) >= partitions.length)
    throw invalid(`There is no partition ${Number(partition)}: there are ${partitions.length}, from 0 on.`);
  return { partition: Number(partition), id };
}
