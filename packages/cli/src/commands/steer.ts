import { WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import type { LaneView, RecentAttempt } from "@waybill/relay";
import { type AdminOptions, openAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { callWithin } from "../admin-deadline.ts";
import { type AddCommand, LANE, laneParams, wholeNumber } from "../command.ts";
import { counted } from "../counted.ts";
import { EXIT, type Io, say, sayJson } from "../io.ts";
import { dataOf, INTERRUPTED, reasonOf } from "../server-sent.ts";
import { complainOfUnconfirmed } from "../unconfirmed.ts";

interface SteerOptions extends AdminOptions {
  readonly json?: boolean;
}

interface ProbeOptions extends SteerOptions {
  readonly wait: number;
}

const WAIT_DEFAULT_S = 30;
const WAIT_MAX_S = 3_600;

export const addSteerCommands: AddCommand = (program, io, finish) => {
  withAdminOptions(program.command("pause").argument(LANE, "whose lane"))
    .description("stop a lane after the requests in flight; its events are kept")
    .option(
      "--json",
      "print the lane as it is then; in a cluster those of all partitions, as relays reported them last",
    )
    .addHelpText("after", "\nExample:\n  waybill pause production/segment")
    .action((name: string, options: SteerOptions) => steer({ name, operation: "pauseLane" }, options, io));
  withAdminOptions(program.command("resume").argument(LANE, "whose lane"))
    .description("end a pause, or try a lane that is halted or failed again at once")
    .option(
      "--json",
      "print the lane as it is then; in a cluster those of all partitions, as relays reported them last",
    )
    .addHelpText("after", "\nExample:\n  waybill resume production/segment")
    .action((name: string, options: SteerOptions) => steer({ name, operation: "resumeLane" }, options, io));
  withAdminOptions(program.command("probe").argument(LANE, "whose lane"))
    .description("try a lane that waits, is halted or has failed at once, and show what the vendor answers")
    .option("--wait <seconds>", "wait so long for the answer; 0: do not", wholeNumber(0, WAIT_MAX_S), WAIT_DEFAULT_S)
    .option("--json", "print the request with its answer as the admin API has it")
    .addHelpText(
      "after",
      "\nExit codes: 0 the vendor took events, or refused them for good; 1 the lane cannot go on, or there was no answer.\n\nExample:\n  waybill probe production/segment",
    )
    .action(async (name: string, options: ProbeOptions) => finish(await probe(name, options, io)));
};

interface Steering {
  readonly name: string;
  readonly operation: "pauseLane" | "resumeLane";
}

async function steer({ name, operation }: Steering, options: SteerOptions, io: Io): Promise<void> {
  const params = laneParams(name);
  const waiting = (await callWithin(options, io, operation, { params }))?.unconfirmed;
  if (waiting !== undefined) complainOfUnconfirmed(io, waiting);
  const done = operation === "pauseLane" ? "Paused" : "Resumed";
  const { cluster } = await callWithin(options, io, "showOverview", {});
  if (cluster !== undefined) {
    // One of its partitions stands for all.
    const [environment] = params.environment.split("/");
    const { destination } = params;
    const lanes = understood(options, () =>
      cluster.lanes.filter((lane) => lane.environment === environment && lane.destination === destination),
    );
    if (options.json === true) return sayJson(io, lanes);
    return say(io, `${done} ${environment}/${destination} in all of its ${lanes.length} partitions.`);
  }
  const { lane } = await callWithin(options, io, "showLane", { params });
  if (options.json === true) return sayJson(io, lane);
  say(
    io,
    understood(options, () => `${done} ${name}: ${stateText(lane)}.`),
  );
}

function stateText({ mode, reason, account }: LaneView): string {
  const waiting = `${counted(account.pending, "event")} ${account.pending === 1 ? "waits" : "wait"}`;
  return `it is ${mode}${reason === undefined ? "" : ` (${reason})`}, ${waiting}`;
}

async function probe(name: string, options: ProbeOptions, io: Io): Promise<number> {
  const params = laneParams(name);
  const { attempts } = await callWithin(options, io, "listRecentAttempts", { params });
  const last = understood(options, () => attempts[0]?.sequence ?? 0);
  await callWithin(options, io, "probeLane", { params });
  if (options.wait === 0) {
    if (options.json === true) sayJson(io, {});
    else say(io, `${name} tries at once; waybill lanes show ${name} has the answer.`);
    return EXIT.ok;
  }
  const attempt = await nextAttempt({ name, after: last }, options, io);
  const isTaken = understood(options, () => attempt.delivered + attempt.rejected > 0);
  if (options.json === true) sayJson(io, attempt);
  else say(io, attemptText(name, attempt));
  return isTaken ? EXIT.ok : EXIT.failed;
}

function attemptText(name: string, { status, durationMs, events, delivered, rejected, reason }: RecentAttempt): string {
  const answer = status === null ? "gives no answer" : `answers with status ${status}`;
  const parts = [
    `${delivered} of ${counted(events, "event")} delivered`,
    ...(rejected > 0 ? [`${counted(rejected, "event")} rejected`] : []),
  ];
  return `${name} ${answer} after ${Math.round(durationMs)} ms: ${parts.join(", ")}${reason === null ? "" : ` (${reason})`}.`;
}

interface Awaited {
  readonly name: string;
  /** The number of the request before. */
  readonly after: number;
}

/** The request that a probe makes, with its answer. **Errors**: `WAYBILL_TRANSPORT` without one. */
async function nextAttempt({ name, after }: Awaited, options: ProbeOptions, io: Io): Promise<RecentAttempt> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  const timer = nodeClock.after(options.wait * 1_000, stop, true);
  io.onStop(stop);
  try {
    const call = { params: laneParams(name) };
    const response = await openAdmin({ ...options, signal: controller.signal }, io, "watchAttempts", call);
    for await (const message of dataOf(response)) {
      if (message === undefined) continue;
      const { event, data } = message;
      if (event === INTERRUPTED) {
        const reason = understood(options, () => reasonOf(data));
        throw new WaybillError("WAYBILL_TRANSPORT", `${name} has no answer yet: ${reason}`, {
          hint: "Its request goes on; waybill lanes show has the answer.",
        });
      }
      const attempt = understood(options, () => JSON.parse(data) as RecentAttempt);
      if (attempt.sequence > after) return attempt;
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    timer.cancel();
    stop();
  }
  throw new WaybillError("WAYBILL_TRANSPORT", `${name} has no answer within ${options.wait} s`, {
    hint: "Its request goes on: the vendor is slow, or cannot be reached. Wait longer with --wait.",
  });
}
