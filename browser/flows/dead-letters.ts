/** Dead letters: found by reason, inspected, exported, retried and discarded. */
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { confirmOpen, laneBecomes, laneOf, title } from "../lib/actions.ts";
import { check, until } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { eventOf } from "../lib/world.ts";

const AT = "/dead/production/warehouse";
const SELECTED = 3;
/** Filters wait until the typing pauses. */
const LISTED_MAX_MS = 5_000;
const REFUSED_MAX_MS = 15_000;

/** New ones for each flow, of a name that no other has; the vendor refuses what is about ink. */
async function made({ world: { relay } }: Stage, name: string, count: number): Promise<void> {
  await relay.send(Array.from({ length: count }, (_, index) => ({ ...eventOf(index, "ink"), event: name })));
  const path = `/v1/dead-letters/production/warehouse?name=${encodeURIComponent(name)}`;
  const refused = async (): Promise<number> =>
    (await relay.admin<{ readonly deadLetters: readonly unknown[] }>(path)).deadLetters.length;
  await until(async () => (await refused()) === count, REFUSED_MAX_MS, `${name} was not refused`);
}

async function rowsOf(page: Page, count: number): Promise<void> {
  const rows = page.getByRole("listitem").filter({ has: page.getByRole("checkbox") });
  await until(async () => (await rows.count()) === count, LISTED_MAX_MS, `not ${count} dead letters are listed`);
}

async function inspectAndRetry(stage: Stage): Promise<void> {
  await made(stage, "Pen Broken", 1);
  const page = await stage.open({ at: "/dead" });
  await page.getByRole("link", { name: "warehouse" }).click();
  await title(page, "Dead letters of warehouse");
  await page.getByRole("link", { name: /event_refused/ }).click();
  check(page.url().includes("reason="), `the reason is not in the URL: ${page.url()}`);
  await page.getByLabel("Event name").fill("Pen Broken");
  await rowsOf(page, 1);
  await page.getByRole("button", { name: /^Inspect dead letter/ }).click();
  await page.getByRole("dialog").getByText("Pen Broken").waitFor();
  await stage.axe(page, "inspection");
  stage.world.vendors.warehouse.refuse(() => false);
  stage.after(async () => stage.world.vendors.warehouse.refuse(aboutInk));
  await page.getByRole("button", { name: "Retry this one" }).click();
  await confirmOpen(page, "Retry 1 dead letter");
  await page.getByText("No dead letter matches.").waitFor();
  await page.getByRole("link", { name: "Watch the replay" }).click();
  await title(page, "Replays");
  await page.locator(".card.named").getByText("done", { exact: true }).waitFor();
}

async function retrySelection(stage: Stage): Promise<void> {
  await made(stage, "Refill Ordered", SELECTED + 1);
  stage.world.vendors.warehouse.refuse(() => false);
  stage.after(async () => stage.world.vendors.warehouse.refuse(aboutInk));
  const page = await stage.open({ at: `${AT}?name=Refill+Ordered` });
  await rowsOf(page, SELECTED + 1);
  for (let row = 0; row < SELECTED; row += 1) await page.getByRole("checkbox").nth(row).check();
  await page.getByRole("button", { name: `Retry ${SELECTED} selected` }).click();
  await confirmOpen(page, `Retry ${SELECTED} dead letters`);
  await page.getByText(`${SELECTED} dead letters on the way again.`).waitFor();
  await rowsOf(page, 1);
}

async function retryAll(stage: Stage): Promise<void> {
  await made(stage, "Blotter Lost", SELECTED);
  stage.world.vendors.warehouse.refuse(() => false);
  stage.after(async () => stage.world.vendors.warehouse.refuse(aboutInk));
  const page = await stage.open({ at: `${AT}?name=Blotter+Lost` });
  await rowsOf(page, SELECTED);
  await page.getByRole("button", { name: "Retry all that match" }).click();
  await page.getByText(`This concerns ${SELECTED} dead letters.`).waitFor();
  await confirmOpen(page, `Retry ${SELECTED} dead letters`);
  await page.getByText("No dead letter matches.").waitFor();
  await page.getByLabel("State").selectOption("retried");
  await rowsOf(page, SELECTED);
}

async function discardAll(stage: Stage): Promise<void> {
  await made(stage, "Cap Chewed", SELECTED);
  const before = (await laneOf(stage.world.relay, "warehouse")).deadLetters;
  const page = await stage.open({ at: `${AT}?name=Cap+Chewed` });
  await rowsOf(page, SELECTED);
  await page.getByRole("button", { name: "Discard all that match" }).click();
  await page.getByText(`This concerns ${SELECTED} dead letters.`).waitFor();
  await stage.axe(page, "discard");
  await confirmOpen(page, `Discard ${SELECTED} dead letters`);
  await page.getByText(`${SELECTED} dead letters discarded.`).waitFor();
  await laneBecomes(
    stage.world.relay,
    "warehouse",
    ({ deadLetters }) => deadLetters === before - SELECTED,
    "others were discarded, or none",
  );
}

async function exportMatching(stage: Stage): Promise<void> {
  await made(stage, "Nib Bent", 2);
  const page = await stage.open({ at: `${AT}?name=Nib+Bent` });
  await rowsOf(page, 2);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Export" }).click(),
  ]);
  check(download.suggestedFilename() === "dead-letters-warehouse.ndjson", download.suggestedFilename());
  const lines = readFileSync(await download.path(), "utf8")
    .trim()
    .split("\n");
  check(lines.length === 2, `${lines.length} lines are exported, not 2`);
  check(
    lines.every((line) => JSON.stringify(JSON.parse(line)).includes("Nib Bent")),
    "other dead letters are exported",
  );
}

function aboutInk(event: Readonly<Record<string, unknown>>): boolean {
  return JSON.stringify(event).includes('"product":"ink"');
}

export const deadLetterFlows: readonly Flow[] = [
  {
    name: "a dead letter is found by reason and name, inspected, and retried; its replay is shown",
    run: inspectAndRetry,
  },
  { name: "a selection of dead letters is retried, the others stay", run: retrySelection },
  { name: "all dead letters that match are retried, and counted beforehand", run: retryAll },
  { name: "all dead letters that match are discarded, and no other", run: discardAll },
  { name: "the dead letters that match are exported, a line each", run: exportMatching },
];
