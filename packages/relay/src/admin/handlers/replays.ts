/** Handlers of replays: of an environment on the disk, or of a cluster over its partitions. */
import type { ClusterReplays, ReplayWish } from "../../cluster/cluster-replays.ts";
import { partitionOf } from "../../cluster/partition-name.ts";
import type { LogChoice } from "../../delivery/chosen-events.ts";
import { isFromRelay, othersAnswers } from "../cluster/pass-on.ts";
import { sumOf } from "../cluster/sums.ts";
import { replaysOverPartitions } from "../cluster/whole-replays.ts";
import { quoted, unknown } from "../refusal.ts";
import { ADMIN_ROUTES, type CheckedBody } from "../routes/table.ts";
import type { AdminView } from "../view.ts";
import { answer, answerNothing, type Call } from "./call.ts";
import { checkRoomForReplay, chosenEnvironment, chosenLane } from "./lookup.ts";

/** A partition's part of a replay over the cluster is shown with it. */
export async function listReplays(view: AdminView, call: Call<"listReplays">): Promise<void> {
  const { found } = await othersAnswers(view, call, ADMIN_ROUTES.listReplays.answers[200].schema);
  const running = [...view.accounts().replays, ...found.flat()];
  // What this relay runs is what another one asks for.
  const replays = isFromRelay(call.request) ? undefined : view.clusterReplays?.();
  const overCluster = replays === undefined ? [] : await replaysOverPartitions(replays, running);
  const known = new Set(overCluster.map(({ id }) => id));
  answer(call, 200, [...overCluster, ...running.filter(({ id }) => !known.has(id))]);
}

export async function startReplay(view: AdminView, call: Call<"startReplay">): Promise<void> {
  const { destination, dryRun, eventsPerSecond } = call.body;
  const place = placeOf(view, call.params.environment);
  if (place !== undefined) return startInCluster(call, place);
  const { environment } = chosenLane(view, { ...call.params, destination });
  const { log, replays } = environment;
  const { sinceMs } = filterOf(call.body);
  const from = sinceMs === undefined ? log.first : Math.max(log.first, log.positionAt(sinceMs));
  const choice = { log: { ...filterOf(call.body), from, to: log.head } };
  if (dryRun === true) return answer(call, 200, { events: await replays.count(destination, choice) });
  checkRoomForReplay(replays.views().length);
  answer(call, 202, await replays.begin(destination, choice, eventsPerSecond));
}

export async function cancelReplay(view: AdminView, call: Call<"cancelReplay">): Promise<void> {
  const { id, environment: name } = call.params;
  const { replays } = placeOf(view, name) ?? chosenEnvironment(view, name);
  if (await replays.cancel(id)) return answerNothing(call);
  throw unknown("unknown_replay", `There is no replay ${quoted(id)}.`);
}

export interface Place {
  readonly name: string;
  readonly replays: ClusterReplays;
  /** Absent: all. */
  readonly partition?: number;
}

/** Of a cluster; `undefined` on the disk, and where there is no such environment. */
export function placeOf(view: AdminView, name: string): Place | undefined {
  const all = view.clusterReplays?.();
  const { environment, ...partition } = partitionOf(name) ?? { environment: name };
  const replays = all?.get(environment);
  return replays === undefined ? undefined : { name, replays, ...partition };
}

async function startInCluster(call: Call<"startReplay">, { name, replays, partition }: Place): Promise<void> {
  const { destination, dryRun, eventsPerSecond } = call.body;
  if (!replays.has(destination, partition))
    throw unknown("unknown_lane", `There is no destination ${quoted(name)}/${quoted(destination)}.`);
  const wish: ReplayWish = {
    destination,
    filter: filterOf(call.body),
    eventsPerSecond,
    ...(partition === undefined ? {} : { partitions: [partition] }),
  };
  if (dryRun === true) {
    const parts = await replays.choose(wish);
    return answer(call, 200, { events: sumOf(parts, ({ total }) => total) });
  }
  checkRoomForReplay(replays.kept(wish.partitions));
  answer(call, 202, await replays.begin(wish));
}

function filterOf({
  since,
  until,
  source,
  type,
  event,
  userId,
}: CheckedBody<"startReplay">): Omit<LogChoice, "from" | "to"> {
  return {
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
    ...(source === undefined ? {} : { source }),
    ...(type === undefined ? {} : { type }),
    ...(event === undefined ? {} : { event }),
    ...(userId === undefined ? {} : { userId }),
  };
}
