/** The page beside a cluster of which a part stops, dies or hangs. */
import type { Page } from "playwright-core";
import { confirm, confirmOpen, laneBecomes, laneOf, partitionsInTail, title } from "../lib/actions.ts";
import { check, until } from "../lib/check.ts";
import {
  type ClusterAnswer,
  type ClusterOptions,
  type ClusterRelay,
  type ClusterWorld,
  clusterOf,
  manyEvents,
  startCluster,
} from "../lib/cluster.ts";
import type { Flow, Stage } from "../lib/flow.ts";

const EVENTS = 60;
const PARTITIONS = 4;
const SHOWN_MAX_MS = 10_000;
/** A relay is missing after 15 s without a word. */
const MISSING_MAX_MS = 30_000;
/** With a relay that hangs: it is given up after 2 s. */
const PAINTED_MAX_MS = 4_000;

interface OwnCluster extends ClusterWorld {
  readonly one: ClusterRelay;
  readonly two: ClusterRelay;
}

async function ownCluster({ after }: Stage, options: Partial<ClusterOptions> = {}): Promise<OwnCluster> {
  const world = await startCluster({
    relays: ["relay-a", "relay-b"],
    partitions: PARTITIONS,
    destinations: ["analytics"],
    ...options,
  });
  after(() => world.close());
  const [one, two] = world.relays;
  check(one !== undefined && two !== undefined, "there are no two relays");
  return { ...world, one, two };
}

function partitionsAt({ relays, lanes }: ClusterAnswer, { name }: ClusterRelay): readonly number[] {
  const id = relays.find((relay) => relay.name === name)?.id;
  return lanes.flatMap(({ relay, partition }) => (relay === id ? [partition] : []));
}

/** Of the table, as the page has it. */
async function lanesShown(page: Page, text: string): Promise<number> {
  return page.getByRole("region", { name: "Table of lanes" }).getByRole("row").filter({ hasText: text }).count();
}

async function steer(stage: Stage): Promise<void> {
  const { relays, one } = await ownCluster(stage, {
    relays: ["relay-a", "relay-b", "relay-c"],
    partitions: 2,
    destinations: ["archive"],
  });
  const idle = (await clusterOf(one)).relays.find(({ lanes }) => lanes === 0)?.name;
  const relay = relays.find(({ name }) => name === idle);
  check(relay !== undefined, "each relay has a lane");
  const page = await stage.open({ relay, at: "/d/production/archive" });
  await confirm(page, "Pause");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  await relay.send(manyEvents(EVENTS));
  const modes = async (): Promise<string> => (await clusterOf(one)).lanes.map(({ mode }) => mode).join();
  await until(async () => (await modes()) === "paused,paused", SHOWN_MAX_MS, "not all its lanes are paused");
  await page.getByText(`${EVENTS} pending`).waitFor();
  await page.getByRole("link", { name: "production/1" }).click();
  await page.getByText(/segment in production, partition 1, at relay-/).waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("This is done to all partitions of archive.").waitFor();
  await confirmOpen(page, "Resume");
  await laneBecomes(one, "archive", ({ account }) => account.delivered === EVENTS, "was not resumed");
}

async function stops(stage: Stage): Promise<void> {
  const { one, two } = await ownCluster(stage);
  const page = await stage.open({ relay: one, at: "/cluster" });
  const tail = await stage.open({ relay: one, at: "/tail" });
  const rows = page.getByRole("region", { name: "Table of relays" }).getByRole("row");
  await rows.nth(2).waitFor();
  // What comes before the tail is there it does not show.
  const isShown = async (): Promise<boolean> => {
    await two.send(manyEvents(EVENTS));
    return (await tail.getByRole("link", { name: "story" }).count()) > 0;
  };
  await until(isShown, SHOWN_MAX_MS, "the tail does not show the events of the other relay");
  await two.stop();
  await tail.getByText(/The relay relay-b has ended its tail/).waitFor();
  await until(async () => (await rows.count()) === 2, SHOWN_MAX_MS, "a relay that stopped is still listed");
  const isTaken = async (): Promise<boolean> => (await lanesShown(page, one.name)) === PARTITIONS;
  await until(isTaken, SHOWN_MAX_MS, "its lanes are not at the other one");
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByText("Nothing is wrong.").waitFor();
  await tail.getByLabel("Event name").fill("Still Here");
  const areAll = async (): Promise<boolean> => {
    await one.send(manyEvents(EVENTS).map((event) => ({ ...event, event: "Still Here" })));
    return (await partitionsInTail(tail)).size === PARTITIONS;
  };
  await until(areAll, SHOWN_MAX_MS, "the tail does not go on with all partitions");
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByText(`${PARTITIONS} partitions at 1 relay`).waitFor();
  await laneBecomes(one, "analytics", ({ waitingEvents }) => waitingEvents === 0, "does not deliver");
  const { account } = await laneOf(one, "analytics");
  await page.getByText(`${account.delivered} delivered`).waitFor();
}

async function dies(stage: Stage): Promise<void> {
  const { cluster, one, two } = await ownCluster(stage, { sessionMs: 45_000 });
  const own = partitionsAt(await clusterOf(one), two);
  const page = await stage.open({ relay: one, at: "/cluster" });
  await page.getByText("Nothing is wrong.").waitFor();
  // It reaches no broker, and nobody reaches it.
  cluster.isolate(two.name);
  two.hang();
  stage.after(async () => cluster.heal(two.name));
  const other = await stage.open({ relay: one, at: "/d/production/analytics" });
  await confirm(other, "Pause");
  await other.getByText(/^relay-b \(seen .* ago\): not confirmed yet/).waitFor();
  await page.locator(".problem").getByText("The relay relay-b (").waitFor({ timeout: MISSING_MAX_MS });
  const row = page.getByRole("region", { name: "Table of relays" }).getByRole("row").filter({ hasText: two.name });
  await row.getByText("missing", { exact: true }).waitFor();
  await page
    .locator(".problem")
    .getByText(`No relay delivers ${own.length} of ${PARTITIONS} partitions to analytics`)
    .waitFor();
  const areShown = async (): Promise<boolean> => (await lanesShown(page, "unowned")) === own.length;
  await until(areShown, SHOWN_MAX_MS, "not the lanes of the relay that is missing are shown");
  await stage.axe(page, "cluster with a missing relay");
  cluster.heal(two.name);
  two.hang(false);
  await row.getByText("running", { exact: true }).waitFor();
  const arePaused = async (): Promise<boolean> => (await lanesShown(page, "paused")) === PARTITIONS;
  await until(arePaused, SHOWN_MAX_MS, "the relay that is back has not paused its lanes");
  await page.getByText("Nothing is wrong.").waitFor({ timeout: MISSING_MAX_MS });
}

async function hangs(stage: Stage): Promise<void> {
  const { one, two } = await ownCluster(stage);
  const known = await clusterOf(one);
  const [theirs = -1] = partitionsAt(known, two);
  const [ours = -1] = partitionsAt(known, one);
  await one.send(manyEvents(EVENTS));
  await laneBecomes(one, "analytics", ({ account }) => account.delivered === EVENTS, "does not deliver");
  two.hang();
  const startedAt = performance.now();
  const page = await stage.open({ relay: one, at: "/" });
  await page.getByText(/partitions at 1 relay, \d missing/).waitFor();
  const tookMs = Math.round(performance.now() - startedAt);
  stage.note(`overview after ${tookMs} ms`);
  check(tookMs < PAINTED_MAX_MS, `the overview is shown after ${tookMs} ms`);
  await page
    .locator(".problem")
    .getByText("The relay relay-b has not answered within 2 s. What it has is missing here.")
    .waitFor();
  await page.getByRole("link", { name: "analytics", exact: true }).click();
  await page.getByText(/^No relay has reported \d partitions: /).waitFor();
  await page.goto(`/d/production%2F${theirs}/analytics`);
  await page.getByText(`No relay has reported partition ${theirs}.`).waitFor();
  await page.getByRole("link", { name: "all partitions" }).click();
  await title(page, "analytics");
  await page.goto(`/e/production%2F${ours}/0`);
  await page.getByText(/^Not all relays answered.*relay-b has not answered within 5 s/).waitFor();
  await page.getByRole("region", { name: "At analytics" }).getByText("delivered", { exact: true }).waitFor();
  await page.goto("/dead/production/analytics");
  await page.getByText("No dead letter matches.").waitFor();
  await page
    .getByText(/^Not all relays answered.*relay-b has not answered within 5 s/)
    .first()
    .waitFor();
  two.hang(false);
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByText(`${PARTITIONS} partitions at 2 relays`).waitFor();
  await page.getByText("Nothing is wrong.").waitFor();
}

const BESIDE = "cluster faults";

/** Each has a cluster of its own. */
export const clusterFaultFlows: readonly Flow[] = [
  {
    name: "cluster: a destination is paused and resumed from a relay that has none of its lanes",
    group: BESIDE,
    run: steer,
  },
  { name: "cluster: a relay stops; the page of another one goes on with its lanes", group: BESIDE, run: stops },
  { name: "cluster: a relay that dies is missing, its lanes have none, until it is back", group: BESIDE, run: dies },
  { name: "cluster: a relay that hangs is named, and the page is not slow", run: hangs },
];
