/**
 * Runs cases one after another. Those of a scene share its relay as long as it survives; after a
 * case that failed the next one gets a new relay.
 */
import { printable } from "@waybill/core";
import { Broken, cut, pause, Skipped, within } from "./check.ts";
import type { Block, Relay } from "./relay.ts";
import { type Attack, type Rig, type Scene, Stage } from "./stage.ts";

export interface Result {
  readonly cases: number;
  readonly survived: number;
  readonly failed: readonly string[];
  readonly loopBlockedMsMax: number;
  readonly peakRssMb: number;
  readonly exits: number;
}

interface Ended {
  readonly attack: Attack;
  readonly outcome: "survived" | "failed" | "skipped";
  readonly seen: string;
  readonly blocked: Block;
  readonly peakRssMb: number;
  readonly exits: number;
}

const LIMIT_DEFAULT_MS = 45_000;
const CLEAN_STOP_MS = 5_000;
/** A process that is on its way out is seen to be gone after this time. */
const EXIT_SEEN_MS = 300;

interface OpenRig {
  readonly scene: Scene;
  readonly stage: Stage;
  readonly rig: Rig;
}

export async function runAttacks(attacks: readonly Attack[], say: (line: string) => void): Promise<Result> {
  const ended: Ended[] = [];
  let open: OpenRig | undefined;
  for (const attack of attacks) {
    if (open !== undefined && open.scene !== attack.scene) {
      await close(open);
      open = undefined;
    }
    const startedAtMs = performance.now();
    const { outcome, rig } = await runOne(attack, open);
    open = rig;
    ended.push(outcome);
    say(lineOf(outcome, performance.now() - startedAtMs));
  }
  if (open !== undefined) await close(open);
  return resultOf(ended);
}

async function runOne(
  attack: Attack,
  before: OpenRig | undefined,
): Promise<{ outcome: Ended; rig: OpenRig | undefined }> {
  const stage = new Stage(attack.name);
  let open = before;
  let outcome: Ended["outcome"] = "survived";
  let seen = "";
  try {
    if (attack.scene !== undefined) {
      open ??= await openRig(attack.scene);
      stage.useRig(open.rig);
      for (const relay of relaysOf(open)) await relay.begin();
    }
    await within(attack.limitMs ?? LIMIT_DEFAULT_MS, played(attack, stage, open), "the case did not end in time");
  } catch (error) {
    outcome = error instanceof Skipped ? "skipped" : "failed";
    seen =
      error instanceof Broken || error instanceof Skipped ? error.message : String((error as Error).stack ?? error);
  }
  const relays = [...stage.relays, ...(open === undefined ? [] : relaysOf(open))];
  if (outcome === "failed") await pause(EXIT_SEEN_MS);
  for (const relay of relays) await relay.measure();
  const fallen = relays.filter((relay) => relay.fell);
  for (const relay of fallen) seen += `${seen === "" ? "" : "; "}the relay ended by itself: ${relay.lastWords}`;
  if (fallen.length > 0) outcome = "failed";
  const { blocked, peakRssMb } = worst(relays);
  await stage.end();
  if (open !== undefined && outcome === "failed") {
    await discard(open);
    open = undefined;
  }
  const exits = fallen.length + stage.failedStarts;
  return { outcome: { attack, outcome, seen, blocked, peakRssMb, exits }, rig: open };
}

async function played(attack: Attack, stage: Stage, open: OpenRig | undefined): Promise<void> {
  await attack.run(stage);
  if (open !== undefined) for (const relay of relaysOf(open)) await stage.verify(relay);
}

function relaysOf({ rig }: OpenRig): readonly Relay[] {
  return [rig.relay, ...(rig.peers ?? [])];
}

function worst(relays: readonly Relay[]): { readonly blocked: Block; readonly peakRssMb: number } {
  return {
    blocked: relays.map((relay) => relay.blocked).reduce((a, b) => (b.ms > a.ms ? b : a), { ms: 0, waitedMs: 0 }),
    peakRssMb: Math.max(0, ...relays.map((relay) => relay.peakRssMb)),
  };
}

async function openRig(scene: Scene): Promise<OpenRig> {
  const stage = new Stage(scene.name);
  try {
    return { scene, stage, rig: await scene.open(stage) };
  } catch (error) {
    await stage.end();
    throw error;
  }
}

/** Stops as an operator does. */
async function close(open: OpenRig): Promise<void> {
  for (const relay of relaysOf(open)) await relay.stop(CLEAN_STOP_MS).catch(() => undefined);
  await open.stage.end();
}

async function discard(open: OpenRig): Promise<void> {
  for (const relay of relaysOf(open)) await relay.kill();
  await open.stage.end();
}

const MARKS = { survived: "ok  ", failed: "FAIL", skipped: "skip" } as const;
/** Less says nothing about a block. */
const WAITED_SHOWN_MS = 10;
const SEEN_MAX_CHARACTERS = 600;

function lineOf({ attack, outcome, seen, blocked, peakRssMb }: Ended, ms: number): string {
  const waited =
    blocked.waitedMs < WAITED_SHOWN_MS ? "" : ` (waited ${Math.round(blocked.waitedMs)} ms for a processor)`;
  const numbers = `${(ms / 1_000).toFixed(1)} s, blocked ${Math.round(blocked.ms)} ms${waited}, ${peakRssMb} MB`;
  const why = seen === "" ? "" : `: ${printable(cut(seen, SEEN_MAX_CHARACTERS))}`;
  return `${MARKS[outcome]} ${attack.name} (${numbers})${why}`;
}

function resultOf(all: readonly Ended[]): Result {
  const counted = all.filter(({ outcome }) => outcome !== "skipped");
  const failed = counted.filter(({ outcome }) => outcome === "failed").map(({ attack }) => attack.name);
  return {
    cases: counted.length,
    survived: counted.length - failed.length,
    failed,
    loopBlockedMsMax: Math.round(Math.max(0, ...counted.map(({ blocked }) => blocked.ms))),
    peakRssMb: Math.max(0, ...counted.map(({ peakRssMb }) => peakRssMb)),
    exits: all.reduce((sum, { exits }) => sum + exits, 0),
  };
}
