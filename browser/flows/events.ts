/** Finding events, their stories, and the live tail. */
import { execFileSync } from "node:child_process";
import { overviewOf, storyHas, title } from "../lib/actions.ts";
import { check, until } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { eventOf } from "../lib/world.ts";

const HELD_MS = 1_000;
const TAKEN_MAX_MS = 5_000;

async function byEachId({ world: { relay }, open }: Stage): Promise<void> {
  const event = eventOf(11, "notebook");
  const receipt = await relay.send([event]);
  check(receipt !== "", "the relay gave no receipt");
  const position = /(\d+)(?:\+\d+)?$/.exec(receipt)?.[1] ?? "";
  const page = await open({ at: "/events" });
  for (const id of [String(event["messageId"]), receipt, position]) {
    await page.goto("/events");
    await page.getByLabel("Message id, receipt or position").fill(id);
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByRole("heading", { name: "Its story" }).waitFor();
    check(page.url().endsWith(`/e/production/${position}`), `${id} leads to ${page.url()}`);
    await page.getByText(String(event["messageId"])).first().waitFor();
  }
  await storyHas(page, page.getByRole("region", { name: "At analytics" }).getByText(/^Attempt 1/));
}

async function asSent({ world: { relay }, open }: Stage): Promise<void> {
  const receipt = await relay.send([eventOf(12, "notebook")]);
  const page = await open({ at: `/e/production/${/(\d+)(?:\+\d+)?$/.exec(receipt)?.[1]}` });
  await page.getByRole("button", { name: /^As product gets it/ }).click();
  const text = await page.getByRole("region", { name: "The event as product gets it" }).innerText();
  check(page.url().endsWith("?as=product"), `the choice is not in the URL: ${page.url()}`);
  check(text.includes("distinct_id") && !text.includes("any-key"), "it is not as the vendor gets it, or has the key");
  await page.getByRole("button", { name: "As stored" }).click();
  await page
    .getByRole("region", { name: "The event as stored" })
    .getByText(/userId/)
    .waitFor();
}

async function search({ open }: Stage): Promise<void> {
  const page = await open({ at: "/events" });
  await page.getByLabel("User").fill("user-7");
  await page.getByLabel("Event name").fill("Debug Opened");
  const since = new Date(Date.now() - 3_600_000).toISOString().slice(0, 19);
  await page.getByLabel("Received since").fill(since);
  await page.getByRole("button", { name: "Search the log" }).click();
  const rows = page.getByRole("region", { name: "Table of events" }).getByRole("row");
  await rows.nth(1).waitFor();
  const cells = await rows.filter({ has: page.getByRole("cell") }).allInnerTexts();
  check(
    cells.length > 0 && cells.every((row) => row.includes("user-7") && row.includes("Debug Opened")),
    cells.join("; "),
  );
  await page.getByText(/ read, to the end of the log/).waitFor();
  await rows.nth(1).getByRole("link").click();
  await page.getByRole("heading", { name: "Its story" }).waitFor();
  await page.goBack();
  await rows.nth(1).waitFor();
}

async function tail({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ at: "/tail" });
  await title(page, "Live tail");
  await page.getByRole("link", { name: "story" }).first().waitFor();
  await page.getByLabel("Event name").fill("Order Completed");
  const rows = page.getByRole("list", { name: "Events, newest first" }).getByRole("listitem");
  const isFiltered = async (): Promise<boolean> => {
    const names = await rows.locator(".tail-name").allInnerTexts();
    return names.length > 1 && names.every((name) => name === "Order Completed");
  };
  await until(isFiltered, TAKEN_MAX_MS, "the tail is not filtered by name");
  await page.getByRole("button", { name: "Hold" }).click();
  await page.getByRole("button", { name: "Go on" }).waitFor();
  const held = await rows.count();
  await page.waitForTimeout(HELD_MS);
  check((await rows.count()) === held, "a tail that is held goes on");
  await rows.first().getByRole("button", { name: "Copy as curl" }).click();
  await rows.first().getByRole("button", { name: "Copied" }).waitFor();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const accepted = async (): Promise<number> => {
    const { environments } = await overviewOf(relay);
    return environments.flatMap(({ sources }) => sources).reduce((sum, { acceptedTotal }) => sum + acceptedTotal, 0);
  };
  const before = await accepted();
  const answer = execFileSync("sh", ["-c", `${command} -s`], { env: { ...process.env, KEY: "shop-key" } }).toString();
  check(answer.includes("success"), `the copied command is answered ${answer}`);
  await until(async () => (await accepted()) >= before, TAKEN_MAX_MS, "the copied command sends nothing");
}

export const eventFlows: readonly Flow[] = [
  { name: "an event is found by message id, receipt and position, and tells its story", run: byEachId },
  { name: "an event is shown as it is stored, and as a vendor gets it, without the key", run: asSent },
  { name: "events of a user are found within a time range, and the search stays in the URL", run: search },
  { name: "the tail is filtered and held, and an event is copied as a curl command that works", run: tail },
];
