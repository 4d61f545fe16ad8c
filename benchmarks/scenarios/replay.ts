/**
 * A million events that are in the log, sent by a replay to a destination that was not there when
 * they came and knows no id again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReplayView } from "@waybill/relay";
import { Child } from "../lib/child.ts";
import { prepareLog } from "../lib/prepared-log.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish } from "../lib/result.ts";

export interface ReplayBenchOptions {
  readonly events: number;
  readonly publish: boolean;
}

export const FULL: ReplayBenchOptions = { events: 1_000_000, publish: true };
export const QUICK: ReplayBenchOptions = { events: 20_000, publish: false };

const POLL_MS = 20;

interface ReplayResult {
  readonly scenario: "replay";
  readonly events: number;
  /**
   * From the request that begins the replay to its end; counting the events first is part of it.
   */
  readonly eventsPerSecond: number;
  readonly lost: number;
  /** Events that arrived again: the destination takes every one of them for new. */
  readonly duplicatesInEffect: number;
  readonly booksBalance: boolean;
}

export async function run(options: ReplayBenchOptions): Promise<ReplayResult> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-replay-"));
  const { events } = await prepareLog(join(directory, "data/bench/log"), options.events);
  const destination = new Child("server", ["distinct"]);
  const { port } = await destination.receive<{ port: number }>();
  const relay = await RelayProcess.start({ directory, destinations: { later: `http://127.0.0.1:${port}` } });
  const startedAt = performance.now();
  const begun = await fetch(`${relay.adminUrl}/v1/replays/bench`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ destination: "later" }),
  });
  if (begun.status !== 202) throw new Error(`the replay was refused: ${await begun.text()}`);
  let replay = await replayOf(relay);
  while (replay.state !== "done") {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    replay = await replayOf(relay);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const { lanes } = await relay.accounts();
  const received = await destination.ask<{ events: number; duplicates: number }>({ report: true });
  const { account } = replay;
  const result: ReplayResult = {
    scenario: "replay",
    events,
    eventsPerSecond: Math.round(events / seconds),
    lost: events - received.events,
    duplicatesInEffect: received.duplicates,
    booksBalance: account.balanced && account.delivered === events && lanes.every((lane) => lane.account.balanced),
  };
  await relay.stop();
  await destination.stop();
  rmSync(directory, { recursive: true, force: true });
  publish("replay", result, options.publish);
  return result;
}

async function replayOf(relay: RelayProcess): Promise<ReplayView> {
  const [replay] = (await relay.accounts()).replays;
  if (replay === undefined) throw new Error("the relay has no replay");
  return replay;
}

export function failed({ lost, duplicatesInEffect, booksBalance }: ReplayResult): boolean {
  return lost !== 0 || duplicatesInEffect !== 0 || !booksBalance;
}
