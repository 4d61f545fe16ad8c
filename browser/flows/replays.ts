/** Replays: counted, started, watched, cancelled. */
import type { Page } from "playwright-core";
import { confirmOpen, laneOf, overviewOf, title } from "../lib/actions.ts";
import { check } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";

async function fill(page: Page, field: string, text: string, eventsPerSecond: string): Promise<number> {
  await title(page, "Replays");
  await page.getByLabel("To destination").selectOption("analytics");
  await page.getByLabel(field).fill(text);
  await page.getByLabel("Events per second, at most").fill(eventsPerSecond);
  // Both, although the second was filled before the first was taken over.
  await page.waitForURL((url) => url.searchParams.size === 3);
  await page.getByRole("button", { name: "Count them first" }).click();
  const counted = await page.getByText(/event.* would be sent\./).innerText();
  return Number(/[\d,]+/.exec(counted)?.[0].replaceAll(",", ""));
}

async function start({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ at: "/replays" });
  const before = (await overviewOf(relay)).replays.length;
  const events = await fill(page, "User id", "user-7", "100");
  check(events > 1, `the dry run counts ${events}`);
  check((await overviewOf(relay)).replays.length === before, "the dry run has started a replay");
  await page.getByRole("button", { name: /^Send [\d,]+ events again$/ }).click();
  await confirmOpen(page, "Start the replay");
  await page.getByText("The replay is started").waitFor();
  await page.getByRole("progressbar").first().waitFor();
  await page.getByText("done", { exact: true }).first().waitFor();
  check((await laneOf(relay, "analytics")).mode !== "paused", "the live lane was stopped");
}

async function cancel({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ at: "/replays" });
  await fill(page, "Type", "track", "5");
  await page.getByRole("button", { name: /^Send [\d,]+ events again$/ }).click();
  await confirmOpen(page, "Start the replay");
  const replay = page
    .getByRole("listitem")
    .filter({ has: page.getByRole("button", { name: /^Cancel: Replay of/ }) })
    .first();
  await replay.getByText(/left/).waitFor();
  await replay.getByRole("button", { name: /^Cancel: Replay of/ }).click();
  await confirmOpen(page, "Cancel the replay");
  await page.getByText("cancelled", { exact: true }).first().waitFor();
  const { replays } = await overviewOf(relay);
  check(
    replays.some(({ state }) => state === "cancelled"),
    "the relay goes on with it",
  );
}

export const replayFlows: readonly Flow[] = [
  { name: "a replay is counted by a dry run, started, and shows its progress", run: start },
  { name: "a replay shows the time that is left, and is cancelled", run: cancel },
];
