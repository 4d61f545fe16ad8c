/**
 * Whether events that a vendor will never take hold up others, and whether an outage is ever taken
 * for their fault. A real relay and a stand-in of the vendor 50 ms away that answers 500 to every
 * request with a poisonous event. Events come at a steady rate all the time:
 *
 * 1. for one and a half times `giveUpAfter` one in a thousand is poisonous, then none, until all of
 *    these are dead letters;
 * 2. right before the outage some are poisonous again, so that there are suspects when it begins;
 * 3. for ten times `giveUpAfter` the vendor answers 503, then 500, then refuses connections, in
 *    turns: nothing may be given up;
 * 4. it is well again, until the suspects are dead letters and all others are delivered.
 *
 * Delays are those of the events that were sent in phases 1 and 2, from then to their arrival, of
 * users who never have a poisonous event; one that had not arrived when the outage began is late by
 * all of it. What is sent in the outage and after it is not of interest: how late that is depends
 * on the outage, and on what had been waiting.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VendorMode } from "../children/distant-vendor.ts";
import type { ArrivalsReport } from "../lib/arrivals.ts";
import { Child } from "../lib/child.ts";
import { kindIn } from "../lib/marks.ts";
import { Offering } from "../lib/offering.ts";
import { RelayProcess } from "../lib/relay-process.ts";
import { publish, say } from "../lib/result.ts";
import { VENDOR_EVENTS } from "../lib/vendor-events.ts";

export interface PoisonOptions {
  readonly giveUpAfterMs: number;
  /** False: no event is poisonous, and the relay has no `giveUpAfter`. */
  readonly isPoisoned: boolean;
  readonly publish: boolean;
}

export const FULL: PoisonOptions = { giveUpAfterMs: 60_000, isPoisoned: true, publish: true };
export const QUICK: PoisonOptions = { giveUpAfterMs: 6_000, isPoisoned: true, publish: false };

export const USAGE = "[--give-up-after 20s] [--no-poison]";
export const FLAGS: Readonly<{
  readonly "give-up-after": { readonly type: "string" };
  readonly "no-poison": { readonly type: "boolean" };
}> = { "give-up-after": { type: "string" }, "no-poison": { type: "boolean" } };

/**
 * `give-up-after`: all times of the run are in proportion to it; `no-poison`: shows that the
 * scenario works. Neither is published.
 */
export function withFlags(
  options: PoisonOptions,
  flags: { readonly "give-up-after"?: string; readonly "no-poison"?: boolean },
): PoisonOptions | undefined {
  const { "give-up-after": giveUpAfter, "no-poison": noPoison = false } = flags;
  const seconds = giveUpAfter === undefined ? undefined : /^(\d+)s$/.exec(giveUpAfter)?.[1];
  if (giveUpAfter !== undefined && (seconds === undefined || Number(seconds) === 0)) return undefined;
  return {
    giveUpAfterMs: seconds === undefined ? options.giveUpAfterMs : Number(seconds) * SECOND_MS,
    isPoisoned: options.isPoisoned && !noPoison,
    publish: options.publish && giveUpAfter === undefined && !noPoison,
  };
}

const SECOND_MS = 1_000;
const ROUND_TRIP_MS = 50;
const OFFERED_PER_SECOND = 500;
/** In the outage all of it waits. */
const OFFERED_PER_SECOND_IN_OUTAGE = 100;
const POISON_EVERY = 1_000;
/** In multiples of `giveUpAfter`. */
const POISONED_FOR = 1.5;
const SUSPECTED_FOR = 0.25;
const OUTAGE_FOR = 10;
const GIVEN_UP_WITHIN = 2;
/** Of an outage; the vendor is bad in another way in each. */
const TURNS = 12;
const BAD: readonly VendorMode[] = ["503", "500", "refuse"];
/** The longest backoff between two attempts, and room for a slow machine. */
const SETTLE_MS = 90_000;
const POLL_MS = 250;
/** Within this time a relay has written down what it was answered. */
const WRITTEN_MS = 500;
const DELAY_MAX_MS = 5_000;
const PAGE = 1_000;
const REASON = "poison";

/** How a client of each vendor sends a request: a large batch, and a small one. */
const CLIENTS = {
  segment: { authorization: `Basic ${Buffer.from("bench:").toString("base64")}` },
  letter: { authorization: "Bearer bench" },
} as const;
type PoisonVendor = keyof typeof CLIENTS;

interface PoisonRow {
  readonly vendor: string;
  readonly events: number;
  readonly poison: number;
  readonly delivered: number;
  readonly deadLettered: number;
  readonly wrongly: number;
  readonly longestDelayOfOthersMs: number;
}

interface Published {
  readonly scenario: "poison";
  readonly rows: readonly PoisonRow[];
  readonly outageMs: number;
  readonly givenUpInOutage: number;
}

interface PoisonResult extends Published {
  readonly orderViolations: number;
}

export async function run(options: PoisonOptions): Promise<PoisonResult> {
  const outageMs = OUTAGE_FOR * options.giveUpAfterMs;
  say(
    `giveUpAfter ${options.giveUpAfterMs / SECOND_MS} s, outage ${outageMs / SECOND_MS} s` +
      `${options.isPoisoned ? "" : ", without poison and giveUpAfter"}`,
  );
  const measured = await Promise.all(
    (Object.keys(CLIENTS) as PoisonVendor[]).map((vendor) => inDirectory(vendor, options)),
  );
  const published: Published = {
    scenario: "poison",
    rows: measured.map(({ row }) => row),
    outageMs,
    givenUpInOutage: measured.reduce((sum, one) => sum + one.givenUpInOutage, 0),
  };
  publish("poison", published, options.publish);
  return { ...published, orderViolations: measured.reduce((sum, one) => sum + one.orderViolations, 0) };
}

export function failed({ rows, givenUpInOutage, orderViolations }: PoisonResult): boolean {
  return (
    givenUpInOutage > 0 ||
    orderViolations > 0 ||
    rows.some(
      ({ events, poison, delivered, deadLettered, wrongly, longestDelayOfOthersMs }) =>
        delivered !== events - poison ||
        deadLettered !== poison ||
        wrongly > 0 ||
        longestDelayOfOthersMs > DELAY_MAX_MS,
    )
  );
}

interface Measured {
  readonly row: PoisonRow;
  readonly givenUpInOutage: number;
  readonly orderViolations: number;
}

async function inDirectory(vendor: PoisonVendor, options: PoisonOptions): Promise<Measured> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-poison-"));
  try {
    return await measure(vendor, directory, options);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(vendor: PoisonVendor, directory: string, options: PoisonOptions): Promise<Measured> {
  const far = new Child("distant-vendor", [vendor, String(ROUND_TRIP_MS)]);
  const { port } = await far.receive<{ port: number }>();
  const relay = await startRelay(vendor, { directory, url: `http://127.0.0.1:${port}`, options });
  const offering = new Offering({
    port: relay.port,
    vendor,
    headers: CLIENTS[vendor],
    bodyOf: (events) => `{"batch":[${events.join(",")}]}`,
    poisonEvery: POISON_EVERY,
  });
  const scene: Scene = { vendor, far, relay, offering, options };
  await poisonPhase(scene);
  const givenUpInOutage = await outage(scene);
  await recovery(scene);
  await offering.stop();
  const isSettled = await relay.drained(SETTLE_MS);
  const report = await far.ask<ArrivalsReport>({ report: true });
  const dead = await deadLetters(relay);
  const right = dead.filter(({ kind, reason }) => kind === "p" && reason.includes(REASON)).length;
  await relay.stop("SIGKILL");
  await far.stop();
  const { events, poison } = offering.marks;
  const row: PoisonRow = {
    vendor,
    events,
    poison,
    delivered: report.events,
    deadLettered: right,
    wrongly: dead.length - right,
    longestDelayOfOthersMs: report.longestDelayMs,
  };
  say(
    `${vendor}: ${events} events, ${poison} poisonous; delivered ${report.events}, dead letters ${dead.length}, ` +
      `${givenUpInOutage} of them made in the outage; longest delay of others ${report.longestDelayMs} ms; ` +
      `duplicates ${report.duplicates}, out of order ${report.orderViolations}${isSettled ? "" : "; not settled"}`,
  );
  return { row, givenUpInOutage, orderViolations: report.orderViolations };
}

interface Scene {
  readonly vendor: PoisonVendor;
  readonly far: Child;
  readonly relay: RelayProcess;
  readonly offering: Offering;
  readonly options: PoisonOptions;
}

function startRelay(
  vendor: PoisonVendor,
  { directory, url, options }: { directory: string; url: string; options: PoisonOptions },
): Promise<RelayProcess> {
  const { protocol, destination } = VENDOR_EVENTS[vendor];
  const retry = options.isPoisoned ? { retry: { giveUpAfter: `${options.giveUpAfterMs}ms` } } : {};
  return RelayProcess.start({
    directory,
    destinations: { far: url },
    vendor,
    protocol,
    destination: (address) => ({ ...destination(address), ...retry }),
  });
}

/** Phases 1 and 2. */
async function poisonPhase({ vendor, far, relay, offering, options }: Scene): Promise<void> {
  const { giveUpAfterMs, isPoisoned } = options;
  offering.rate(OFFERED_PER_SECOND);
  offering.marks.poisoned(isPoisoned);
  await pass(POISONED_FOR * giveUpAfterMs);
  offering.marks.poisoned(false);
  await until(
    GIVEN_UP_WITHIN * giveUpAfterMs + SETTLE_MS,
    async () => (await deadCount(relay)) >= offering.marks.poison,
  );
  say(`${vendor}: of ${offering.marks.poison} poisonous events ${await deadCount(relay)} are dead letters`);
  offering.marks.poisoned(isPoisoned);
  await pass(SUSPECTED_FOR * giveUpAfterMs);
  offering.marks.poisoned(false);
  offering.rate(0);
  // An event that has not come by then is late by the outage.
  await until(
    2 * DELAY_MAX_MS,
    async () => (await far.ask<ArrivalsReport>({ report: true })).others >= offering.marks.others,
  );
  await far.ask({ delaysUntilMs: Date.now() });
}

/** Phase 3. Returns how many dead letters were made. */
async function outage({ vendor, far, relay, offering, options }: Scene): Promise<number> {
  const turnMs = (OUTAGE_FOR * options.giveUpAfterMs) / TURNS;
  offering.rate(OFFERED_PER_SECOND_IN_OUTAGE);
  let before: number | undefined;
  for (let turn = 0; turn < TURNS; turn++) {
    await far.ask({ mode: BAD[turn % BAD.length] as VendorMode });
    if (before === undefined) {
      // What was answered right before is still being written down.
      await pass(WRITTEN_MS);
      before = await deadCount(relay);
    }
    await pass(turnMs);
  }
  const after = await deadCount(relay);
  await far.ask({ mode: "well" satisfies VendorMode });
  say(`${vendor}: the outage is over`);
  return after - (before ?? 0);
}

/** Phase 4, as long as events have to come by for somebody to be given up. */
async function recovery({ relay, offering, options }: Scene): Promise<void> {
  offering.rate(OFFERED_PER_SECOND);
  await until(
    GIVEN_UP_WITHIN * options.giveUpAfterMs + SETTLE_MS,
    async () => (await deadCount(relay)) >= offering.marks.poison,
  );
}

async function deadCount(relay: RelayProcess): Promise<number> {
  const { lanes } = await relay.accounts();
  return lanes.reduce((sum, lane) => sum + lane.deadLetters.waiting, 0);
}

interface DeadLetter {
  readonly kind: string | undefined;
  readonly reason: string;
}

async function deadLetters({ adminUrl }: RelayProcess): Promise<readonly DeadLetter[]> {
  const all: DeadLetter[] = [];
  let after: number | undefined;
  do {
    const query = `limit=${PAGE}${after === undefined ? "" : `&after=${after}`}`;
    const response = await fetch(`${adminUrl}/v1/dead-letters/bench/far?${query}`);
    if (response.status !== 200) throw new Error(`the dead letters were refused: ${await response.text()}`);
    const page = (await response.json()) as {
      readonly deadLetters: readonly { readonly reason: string; readonly event: unknown }[];
      readonly next?: number;
    };
    for (const { reason, event } of page.deadLetters) all.push({ reason, kind: kindIn(JSON.stringify(event)) });
    after = page.next;
  } while (after !== undefined);
  return all;
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Until it holds, or the time is up. */
async function until(withinMs: number, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds()) && performance.now() < deadline) await pass(POLL_MS);
}
