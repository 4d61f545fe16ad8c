/** The page beside a cluster: any relay shows and steers what all of them have. */
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { confirmOpen, laneBecomes, laneOf, partitionsInTail, storyHas, title } from "../lib/actions.ts";
import { check, until } from "../lib/check.ts";
import { type ClusterRelay, type ClusterWorld, clusterOf, manyEvents, startCluster } from "../lib/cluster.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { eventOf } from "../lib/world.ts";
import { fits, NARROW_PX, WIDE_PX } from "./layout.ts";

const PARTITIONS = 4;
const EVENTS = 60;
const SHOWN_MAX_MS = 10_000;
const RATE = "2";
const USER = "user-7";

let shared: Promise<ClusterWorld> | undefined;

/** Of all flows that leave its relays alone. */
function sharedCluster(): Promise<ClusterWorld> {
  shared ??= startCluster({
    relays: ["relay-a", "relay-b", "relay-c"],
    partitions: PARTITIONS,
    destinations: ["analytics", "warehouse", "archive"],
  });
  return shared;
}

async function threeRelays(): Promise<readonly [ClusterRelay, ClusterRelay, ClusterRelay]> {
  const [one, two, three] = (await sharedCluster()).relays;
  check(one !== undefined && two !== undefined && three !== undefined, "there are not three relays");
  return [one, two, three];
}

async function overview({ open }: Stage): Promise<void> {
  const { relays } = await sharedCluster();
  for (const relay of relays) await relay.send(manyEvents(EVENTS, "notebook"));
  const sent = EVENTS * relays.length;
  for (const relay of relays) {
    // What a relay has just stored does not wait yet at the one that delivers it.
    await laneBecomes(relay, "analytics", ({ account }) => account.delivered >= sent, "does not deliver");
    const page = await open({ relay, at: "/" });
    const card = page.getByRole("listitem").filter({ has: page.getByRole("link", { name: "analytics", exact: true }) });
    await card.getByText(`${PARTITIONS} partitions at ${relays.length} relays`).waitFor();
    const { account } = await laneOf(relay, "analytics");
    await card.getByText(`${account.delivered} delivered`).waitFor();
    await page.getByText(/\d+ stored, last seen/).waitFor();
    await page.getByText("when each relay starts").waitFor();
  }
}

async function clusterView({ open }: Stage): Promise<void> {
  const { relays } = await sharedCluster();
  for (const relay of relays) {
    const page = await open({ relay, at: "/cluster" });
    const rows = page.getByRole("region", { name: "Table of relays" }).getByRole("row");
    await rows.nth(relays.length).waitFor();
    check((await rows.count()) === relays.length + 1, "not all relays are listed");
    await rows.filter({ hasText: "this one" }).getByText(relay.name).waitFor();
    const { relays: known, lanes } = await clusterOf(relay);
    const names = new Map(known.map(({ id, name }) => [id, name]));
    const table = page.getByRole("region", { name: "Table of lanes" });
    for (const { environment, partition, destination, relay: id } of lanes) {
      const lane = table.getByRole("row").filter({ hasText: `${environment}/${partition}/${destination}` });
      await lane.getByRole("cell", { name: names.get(id ?? "") ?? "none", exact: true }).waitFor();
    }
    await page.getByLabel("Lane, relay or mode").fill(relay.name);
    const own = lanes.filter(({ relay: id }) => names.get(id ?? "") === relay.name).length;
    const shown = async (): Promise<boolean> => (await table.getByRole("row").count()) === own + 1;
    await until(shown, SHOWN_MAX_MS, `not the ${own} lanes of ${relay.name} are listed`);
    await byKeyboard(page, relay);
  }
}

/** From the filter to the first lane that it leaves. */
async function byKeyboard(page: Page, relay: ClusterRelay): Promise<void> {
  await page.getByLabel("Lane, relay or mode").focus();
  // The table is scrolled by keyboard too.
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  const lane = (await page.evaluate(() => document.activeElement?.textContent)) ?? "";
  const [environment, partition, destination = ""] = lane.split("/");
  await page.keyboard.press("Enter");
  await title(page, destination);
  await page.getByText(`segment in ${environment}, partition ${partition}, at ${relay.name}`).waitFor();
  const focused = (): Promise<string | undefined> => page.evaluate(() => document.activeElement?.tagName);
  await until(async () => (await focused()) === "H1", SHOWN_MAX_MS, "the focus is not on the new view's title");
}

async function destination({ open }: Stage): Promise<void> {
  const [one, two] = await threeRelays();
  await one.send(manyEvents(EVENTS, "ink"));
  await laneBecomes(one, "warehouse", ({ deadLetters }) => deadLetters >= EVENTS, "has not refused them");
  const { deadLetters } = await laneOf(one, "warehouse");
  const page = await open({ relay: one, at: "/d/production/warehouse" });
  await page.getByRole("link", { name: String(deadLetters), exact: true }).waitFor();
  await page.getByText(`warehouse has refused ${deadLetters} events for good`).first().waitFor();
  const rows = page.getByRole("region", { name: "Table of partitions" }).getByRole("row");
  await until(async () => (await rows.count()) === PARTITIONS + 1, SHOWN_MAX_MS, "not all partitions are listed");
  const counts = await rows
    .filter({ has: page.getByRole("cell") })
    .locator("td:last-child")
    .allInnerTexts();
  const sum = counts.reduce((total, text) => total + Number(text), 0);
  check(sum === deadLetters, `partitions have ${counts.join(" + ")} dead letters, the destination ${deadLetters}`);
  const elsewhere = rows.filter({ hasText: two.name }).first();
  await elsewhere.getByRole("link").first().click();
  await page.getByText(/segment in production, partition \d, at relay-b/).waitFor();
  // What another relay sends, as it happens.
  await page.getByRole("region", { name: "Table of attempts" }).getByRole("cell", { name: "400" }).first().waitFor();
  await page.getByRole("heading", { name: /^Settings/ }).waitFor();
  await page.getByRole("link", { name: "all partitions" }).click();
  await page.getByText("segment in production", { exact: true }).waitFor();
}

/** New ones that the vendor refuses, of a name that no other has. */
async function refused(relay: ClusterRelay, name: string, count: number): Promise<void> {
  const before = (await laneOf(relay, "warehouse")).deadLetters;
  await relay.send(Array.from({ length: count }, (_, index) => ({ ...eventOf(index, "ink"), event: name })));
  await laneBecomes(relay, "warehouse", ({ deadLetters }) => deadLetters === before + count, "has not refused them");
}

async function rowsOf(page: Page, count: number): Promise<void> {
  const rows = page.getByRole("listitem").filter({ has: page.getByRole("checkbox") });
  await until(async () => (await rows.count()) === count, SHOWN_MAX_MS, `not ${count} dead letters are listed`);
}

async function partitionsListed(page: Page): Promise<readonly string[]> {
  const labels = await page
    .getByRole("checkbox")
    .evaluateAll((boxes) => boxes.map((box) => box.getAttribute("aria-label") ?? ""));
  return labels.map((label) => /dead letter (\d+):\d+/.exec(label)?.[1] ?? `none in ${label}`);
}

async function retrySelection({ open, after }: Stage): Promise<void> {
  const world = await sharedCluster();
  const [one, two] = await threeRelays();
  const name = "Refill Ordered";
  await refused(one, name, 8);
  const page = await open({ relay: two, at: `/dead/production/warehouse?name=${encodeURIComponent(name)}` });
  await page.getByText("one partition after another, the oldest of each first").waitFor();
  await rowsOf(page, 8);
  const partitions = await partitionsListed(page);
  const other = partitions.findIndex((partition) => partition !== partitions[0]);
  check(other > 0, `all are of one partition: ${partitions.join()}`);
  for (const row of [0, other]) await page.getByRole("checkbox").nth(row).check();
  world.vendors.get("warehouse")?.refuse(() => false);
  after(async () => world.refuseInk());
  await page.getByRole("button", { name: "Retry 2 selected" }).click();
  await confirmOpen(page, "Retry 2 dead letters");
  await page.getByText("2 dead letters on the way again.").waitFor();
  await rowsOf(page, 6);
  await page.getByRole("link", { name: "Watch the replays" }).click();
  await title(page, "Replays");
  const ended = page.getByRole("listitem").filter({ hasText: "dead letters, in production, partition" });
  const areDone = async (): Promise<boolean> => (await ended.getByText("done", { exact: true }).count()) >= 2;
  await until(areDone, SHOWN_MAX_MS, "the two replays are not shown as done");
}

async function inspectAndDiscard({ open, axe }: Stage): Promise<void> {
  const [one, two, three] = await threeRelays();
  const name = "Cap Chewed";
  await refused(one, name, 8);
  const before = (await laneOf(one, "warehouse")).deadLetters;
  const page = await open({ relay: three, at: "/dead" });
  await page.getByRole("listitem").getByText(String(before), { exact: true }).waitFor();
  await page.getByRole("link", { name: "warehouse" }).click();
  const reasons = page.getByRole("region", { name: "By reason" });
  await reasons.getByText(String(before), { exact: true }).waitFor();
  await page.getByLabel("Event name").fill(name);
  await rowsOf(page, 8);
  const inspect = page.getByRole("button", { name: /^Inspect dead letter/ });
  for (const row of [0, 7]) {
    await inspect.nth(row).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(name).first().waitFor();
    await dialog.getByText(/from source shop, partition \d/).waitFor();
    if (row === 0) await axe(page, "inspection in a cluster");
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
  }
  await page.getByRole("button", { name: "Discard all that match" }).click();
  await page.getByText("This concerns 8 dead letters.").waitFor();
  await confirmOpen(page, "Discard 8 dead letters");
  await page.getByText("8 dead letters discarded.").waitFor();
  await laneBecomes(
    two,
    "warehouse",
    ({ deadLetters }) => deadLetters === before - 8,
    "others were discarded, or none",
  );
}

async function exportAll({ open }: Stage): Promise<void> {
  const [one, two] = await threeRelays();
  const name = "Nib Bent";
  await refused(one, name, 8);
  const page = await open({ relay: two, at: `/dead/production/warehouse?name=${encodeURIComponent(name)}` });
  await rowsOf(page, 8);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Export" }).click(),
  ]);
  const lines = readFileSync(await download.path(), "utf8")
    .trim()
    .split("\n");
  const partitions = new Set(lines.map((line) => (JSON.parse(line) as { readonly partition: number }).partition));
  check(lines.length === 8 && partitions.size > 1, `${lines.length} lines of ${partitions.size} partitions`);
  check(
    lines.every((line) => line.includes(name)),
    "other dead letters are exported",
  );
}

async function replay({ open }: Stage): Promise<void> {
  const [one, two] = await threeRelays();
  await one.send(manyEvents(EVENTS, "notebook"));
  const page = await open({ relay: one, at: "/replays" });
  await page.getByLabel("To destination").selectOption("analytics");
  check((await page.getByLabel("Environment").inputValue()) === "production", "a part of the log is chosen at first");
  await page.getByLabel("Type").fill("track");
  await page.getByLabel("Events per second, at most").fill(RATE);
  await page.waitForURL((url) => url.searchParams.size === 3);
  await page.getByRole("button", { name: "Count them first" }).click();
  const counted = await page.getByText(/would be sent\./).innerText();
  const events = Number(/[\d,]+/.exec(counted)?.[0].replaceAll(",", ""));
  check(events >= EVENTS, `the dry run counts ${events}`);
  await page.getByRole("button", { name: /^Send [\d,]+ events again$/ }).click();
  await confirmOpen(page, "Start the replay");
  const going = (on: Page): ReturnType<Page["locator"]> =>
    on.getByRole("listitem").filter({ has: on.getByRole("button", { name: /^Cancel: Replay of log to analytics/ }) });
  await going(page).getByText(`of ${events}`).first().waitFor();
  await going(page).getByText(/left/).waitFor();
  const summary = going(page).getByText(`${PARTITIONS} partitions, 0 over`);
  await summary.focus();
  await page.keyboard.press("Enter");
  const parts = going(page)
    .getByRole("list", { name: /^Partitions of the replay/ })
    .getByRole("listitem");
  await until(async () => (await parts.count()) === PARTITIONS, SHOWN_MAX_MS, "not all partitions are beneath");
  const isSum = async (): Promise<boolean> => {
    const totals = (await parts.allInnerTexts()).map((text) => Number(/of ([\d,]+) event/.exec(text)?.[1] ?? 0));
    return totals.reduce((total, one) => total + one, 0) === events;
  };
  await until(isSum, SHOWN_MAX_MS, `the partitions do not have ${events} events together`);
  // Any relay cancels it.
  const other = await open({ relay: two, at: "/replays" });
  await going(other).getByText(`of ${events}`).first().waitFor();
  await going(other)
    .getByRole("button", { name: /^Cancel/ })
    .click();
  await confirmOpen(other, "Cancel the replay");
  for (const on of [page, other])
    await on
      .getByRole("listitem")
      .filter({ hasText: `of ${events}` })
      .getByText("cancelled", { exact: true })
      .first()
      .waitFor();
}

async function trace({ open }: Stage): Promise<void> {
  const [one, two, three] = await threeRelays();
  const events = [eventOf(3, "notebook"), eventOf(3, "notebook")];
  const receipt = await one.send(events);
  check(/^production\/\d@\d+\+2$/.test(receipt), `the receipt is ${receipt}`);
  for (const relay of [one, two, three]) {
    const page = await open({ relay, at: "/events" });
    const find = async (id: string): Promise<void> => {
      await page.goto("/events");
      await page.getByLabel("Message id, receipt or position").fill(id);
      await page.getByRole("button", { name: "Find" }).click();
    };
    await find(receipt);
    await page
      .getByRole("link", { name: String(events[1]?.["event"]) })
      .nth(1)
      .click();
    await page.getByRole("heading", { name: "Its story" }).waitFor();
    const own = await page.getByText(/^production\/\d@/).innerText();
    const place = decodeURIComponent(new URL(page.url()).pathname).replace("/e/", "");
    for (const id of [String(events[1]?.["messageId"]), own, place]) {
      await find(id);
      await page.getByText(String(events[1]?.["messageId"])).first().waitFor();
      await storyHas(page, page.getByRole("region", { name: "At analytics" }).getByText("Delivered", { exact: true }));
      check(decodeURIComponent(page.url()).endsWith(place), `${id} leads to ${page.url()}`);
    }
  }
}

async function search({ open }: Stage): Promise<void> {
  const [one, , three] = await threeRelays();
  await one.send([
    { ...eventOf(7), userId: USER, event: "Search Me" },
    { ...eventOf(8), userId: "user-8", event: "Search Me" },
  ]);
  const page = await open({ relay: three, at: "/events" });
  const rows = page.getByRole("region", { name: "Table of events" }).getByRole("row");
  await page.getByRole("search", { name: "Search events" }).getByLabel("Event name").fill("Search Me");
  await page.getByRole("button", { name: "Search the log" }).click();
  await page.getByText(/ read, to the end of the log/).waitFor();
  await rows.nth(2).waitFor();
  await page.getByLabel("User", { exact: true }).fill(USER);
  await page.getByRole("button", { name: "Search the log" }).click();
  await until(async () => (await rows.count()) === 2, SHOWN_MAX_MS, "not the one event of the user is found");
  await rows.nth(1).getByRole("link").click();
  await page.getByRole("heading", { name: "Its story" }).waitFor();
}

async function tail({ open }: Stage): Promise<void> {
  const [one, two, three] = await threeRelays();
  const page = await open({ relay: one, at: "/tail?name=Tail+Me" });
  await page.getByText("Waiting for events that match.").waitFor();
  const rows = page.getByRole("list", { name: "Events, newest first" }).getByRole("listitem");
  const areAll = async (): Promise<boolean> => {
    for (const relay of [two, three])
      await relay.send(Array.from({ length: 10 }, (_, index) => ({ ...eventOf(index), event: "Tail Me" })));
    return (await partitionsInTail(page)).size === PARTITIONS;
  };
  await until(areAll, SHOWN_MAX_MS, "not all partitions are shown");
  await rows.last().getByRole("link", { name: "story" }).click();
  await page.getByRole("heading", { name: "Its story" }).waitFor();
}

/** Opened at a relay that has not all of what it shows. */
const VIEWS: readonly (readonly [name: string, at: string, ready: (page: Page) => Promise<unknown>])[] = [
  [
    "overview",
    "/",
    (page) =>
      page
        .getByText(/partitions at 3 relays/)
        .first()
        .waitFor(),
  ],
  ["cluster", "/cluster", (page) => page.getByText("relay-c").last().waitFor()],
  ["destination", "/d/production/warehouse", (page) => page.getByRole("link", { name: "production/3" }).waitFor()],
  ["partition", "/d/production%2F1/warehouse", (page) => page.getByRole("heading", { name: /^Settings/ }).waitFor()],
  ["dead letters", "/dead/production/warehouse", (page) => page.getByRole("checkbox").first().waitFor()],
  [
    "dead letters of a partition",
    "/dead/production%2F1/warehouse",
    (page) => page.getByText("all partitions").waitFor(),
  ],
  ["replays", "/replays", (page) => page.getByText(`${PARTITIONS} partitions, `).first().click()],
  ["search", "/events?type=track&go=1", (page) => page.getByText("one partition after another").waitFor()],
];

async function everyView({ open, axe }: Stage): Promise<void> {
  const [one, two] = await threeRelays();
  await one.send(manyEvents(EVENTS, "ink"));
  await laneBecomes(one, "warehouse", ({ deadLetters }) => deadLetters >= EVENTS, "has not refused them");
  await one.admin("/v1/replays/production", { method: "POST", body: { destination: "analytics" } });
  for (const [name, at, ready] of VIEWS) {
    const page = await open({ relay: two, at, theme: "light", width: WIDE_PX });
    await ready(page);
    await fits(page, `${name} at ${WIDE_PX} px`);
    await axe(page, `${name} in a cluster`);
    await page.setViewportSize({ width: NARROW_PX, height: 740 });
    await page.emulateMedia({ colorScheme: "dark" });
    await fits(page, `${name} at ${NARROW_PX} px`);
    await axe(page, `${name} in a cluster`);
    await page.context().close();
  }
}

export const clusterFlows: readonly Flow[] = [
  { name: "cluster: the overview has all lanes, whichever relay serves the page", run: overview },
  { name: "cluster: relays and lanes are listed, found by relay, and opened by keyboard", run: clusterView },
  { name: "cluster: a destination has the sum of its partitions, and each is a link", run: destination },
  { name: "cluster: dead letters of several partitions are chosen and retried", run: retrySelection },
  {
    name: "cluster: dead letters are counted by reason, inspected and discarded over all partitions",
    run: inspectAndDiscard,
  },
  { name: "cluster: dead letters of all partitions are exported", run: exportAll },
  {
    name: "cluster: a replay of all partitions is counted, started, shown with its partitions, and cancelled elsewhere",
    run: replay,
  },
  { name: "cluster: an event is found by id, receipt and place from any relay", run: trace },
  { name: "cluster: events are searched in all partitions", run: search },
  { name: "cluster: the tail has the events of all relays", run: tail },
  {
    name: `cluster: every view at ${NARROW_PX} and ${WIDE_PX} px: axe finds nothing, nothing is beyond the edge`,
    run: everyView,
  },
].map((flow) => ({ ...flow, group: "cluster" }));
