/** A thousand lanes and a hundred thousand dead letters: no task of the page is long. */
import { emulators, SegmentEmulator, startServer } from "@waybill/testing";
import type { Page } from "playwright-core";
import { laneOf, title } from "../lib/actions.ts";
import { check, until } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { Relay } from "../lib/relay.ts";
import { type LongestTask, longestTask } from "../lib/tasks.ts";
import { eventOf, segmentAt } from "../lib/world.ts";

const LANES = 1_000;
const DEAD_LETTERS = 100_000;
const BATCH = 1_000;
const SECOND_MS = 1_000;
const TASK_MAX_MS = 100;
/** Not a figure: on a machine that does other work all of it takes minutes. */
const LOADED_MAX_MS = 240_000;
const WATCHED_MS = 3_000;
const SCROLL_MS = 150;
const NAMES = ["Order Completed", "Product Added", "Product Viewed"];
const SCROLLED = [0, 0.5, 0.9, 0.2];

async function lanes({ open, after, note }: Stage): Promise<void> {
  const vendor = new SegmentEmulator({ keepEvents: 0, keepIds: LANES });
  const server = await startServer(vendor.handle);
  after(() => server.close());
  const names = Array.from({ length: LANES }, (_, index) => `lane-${String(index).padStart(4, "0")}`);
  const relay = await new Relay({
    production: {
      sources: { shop: { protocol: "segment", writeKeys: ["shop-key"] } },
      destinations: Object.fromEntries(names.map((name) => [name, segmentAt(server)])),
    },
  }).start();
  after(() => relay.stop());
  const page = await open({ relay });
  const longest = await longestTask(page, async () => {
    await page.goto("/");
    await page.getByRole("link", { name: "lane-0000", exact: true }).waitFor();
    await relay.send(Array.from({ length: 10 }, (_, index) => eventOf(index)));
    await page.waitForTimeout(WATCHED_MS);
    await page.getByRole("button", { name: /^Show 20 more/ }).click();
    await page.getByRole("link", { name: "lane-0039", exact: true }).waitFor();
    await page.getByLabel("Name or vendor").fill("lane-09");
    await page.getByRole("link", { name: "lane-0900", exact: true }).waitFor();
    await relay.send([eventOf(1)]);
    await page.waitForTimeout(WATCHED_MS);
  });
  judge(longest, note);
}

async function deadLetters({ open, after, note }: Stage): Promise<void> {
  const server = await startServer(new emulators.MixpanelEmulator().handle);
  after(() => server.close());
  const relay = await new Relay({
    production: {
      sources: { shop: { protocol: "segment", writeKeys: ["shop-key"] } },
      destinations: { reports: { vendor: "mixpanel", url: server.url, writeKey: "any-key" } },
    },
  }).start();
  after(() => relay.stop());
  const startedAt = performance.now();
  // The vendor refuses such an id, and each event of it alone.
  for (let sent = 0; sent < DEAD_LETTERS; sent += BATCH)
    await relay.send(
      Array.from({ length: BATCH }, (_, index) => ({
        type: "track",
        messageId: crypto.randomUUID(),
        userId: "anonymous",
        event: NAMES[(sent + index) % NAMES.length],
        properties: { total: index },
      })),
    );
  const isRefused = async (): Promise<boolean> => (await laneOf(relay, "reports")).deadLetters >= DEAD_LETTERS;
  await until(isRefused, LOADED_MAX_MS, "the vendor did not refuse all of them");
  const refusedAt = performance.now();
  const page = await open({ relay });
  const longest = await longestTask(page, async () => {
    await page.goto("/dead/production/reports");
    await title(page, "Dead letters of reports");
    await page.getByRole("checkbox").first().waitFor();
    await until(async () => (await scrolledToEnd(page)) >= DEAD_LETTERS, LOADED_MAX_MS, "not all of them are listed");
    for (const share of SCROLLED) {
      await scrollTo(page, share);
      await page.waitForTimeout(SCROLL_MS);
    }
    await page.getByLabel("Event name").fill("Product Added");
    await page.waitForURL(/name=Product/);
    await page.getByRole("checkbox").first().waitFor();
  });
  note(`refused within ${secondsFrom(startedAt, refusedAt)} s, listed within ${secondsFrom(refusedAt)} s`);
  judge(longest, note);
}

function judge({ cpuMs, wallMs }: LongestTask, note: Stage["note"]): void {
  note(`the longest task had ${cpuMs} ms of a processor, ${wallMs} ms on the wall`);
  check(cpuMs <= TASK_MAX_MS, `a task took ${cpuMs} ms`);
}

function secondsFrom(fromMs: number, toMs: number = performance.now()): string {
  return ((toMs - fromMs) / SECOND_MS).toFixed(1);
}

function scrollTo(page: Page, share: number): Promise<void> {
  return page.evaluate((part) => {
    const list = document.querySelector(".virtual");
    if (list !== null) list.scrollTop = list.scrollHeight * part;
  }, share);
}

/** Answers how many are listed by now. */
async function scrolledToEnd(page: Page): Promise<number> {
  await scrollTo(page, 1);
  return page.evaluate(() => Number(document.querySelector(".virtual [aria-setsize]")?.getAttribute("aria-setsize")));
}

export const largeFlows: readonly Flow[] = [
  { name: `a thousand lanes: no task of the page is longer than ${TASK_MAX_MS} ms`, run: lanes },
  { name: `a hundred thousand dead letters: no task of the page is longer than ${TASK_MAX_MS} ms`, run: deadLetters },
];
