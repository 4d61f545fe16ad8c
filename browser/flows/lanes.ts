/** What an operator does to a destination or a source. */
import { confirm, confirmOpen, laneBecomes, laneOf, title } from "../lib/actions.ts";
import { check, until } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { eventOf, NEW_KEY } from "../lib/world.ts";

const KEYBOARD_STEPS_MAX = 60;
const TAKEN_MAX_MS = 5_000;

async function pauseAndResume({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ at: "/d/production/analytics" });
  await title(page, "analytics");
  const settings = await page.getByRole("heading", { name: /^Settings/ }).elementHandle();
  await confirm(page, "Pause");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  check((await laneOf(relay, "analytics")).mode === "paused", "the relay did not pause it");
  await page.getByText("paused", { exact: true }).first().waitFor();
  await confirm(page, "Resume");
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await laneBecomes(relay, "analytics", ({ mode }) => mode !== "paused", "was not resumed");
  const isKept = await settings?.evaluate((element) => element.isConnected);
  check(isKept === true, "the settings were taken away while the mode changed");
}

async function byKeyboard({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ at: "/" });
  await page.getByRole("link", { name: "product", exact: true }).waitFor();
  const tabTo = async (text: string): Promise<void> => {
    for (let step = 0; step < KEYBOARD_STEPS_MAX; step += 1) {
      await page.keyboard.press("Tab");
      if ((await page.evaluate(() => document.activeElement?.textContent?.trim())) === text) return;
    }
    check(false, `${text} is not reached by Tab`);
  };
  await tabTo("Skip to the content");
  await page.keyboard.press("Enter");
  await tabTo("product");
  await page.keyboard.press("Enter");
  await title(page, "product");
  const focused = (): Promise<string | undefined> => page.evaluate(() => document.activeElement?.tagName);
  await until(async () => (await focused()) === "H1", TAKEN_MAX_MS, "the focus is not on the new view's title");
  await tabTo("Pause");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  // The element: one that is closed has no role, before the page has heard of it.
  await page.locator("dialog").waitFor({ state: "detached" });
  check((await laneOf(relay, "product")).mode !== "paused", "Escape has paused it");
  check(
    (await page.evaluate(() => document.activeElement?.textContent)) === "Pause",
    "the focus is lost after the dialog",
  );
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await tabTo("Pause");
  await page.keyboard.press("Enter");
  await laneBecomes(relay, "product", ({ mode }) => mode === "paused", "was not paused by keyboard");
  await relay.admin("/v1/lanes/production/product/resume", { method: "POST" });
}

async function rotateDestination({ world: { relay }, open }: Stage): Promise<void> {
  await laneBecomes(relay, "crm", ({ mode }) => mode === "halted", "was not halted by the wrong key");
  const page = await open({ at: "/" });
  await page
    .getByText(/crm refuses the key/)
    .first()
    .waitFor();
  await page.getByRole("link", { name: "production/crm" }).first().click();
  await title(page, "crm");
  await page.getByRole("button", { name: "Rotate the key" }).click();
  await page.getByLabel("New key").fill(NEW_KEY);
  await page.getByLabel(/stays valid for/).selectOption({ label: "10 min" });
  await confirmOpen(page, "Rotate the key");
  await laneBecomes(
    relay,
    "crm",
    ({ account, mode }) => mode !== "halted" && account.delivered > 0,
    "delivers nothing",
  );
  await page.getByText("sending", { exact: true }).first().waitFor();
}

async function rotateSource({ world: { relay }, open }: Stage): Promise<void> {
  const key = "a-new-key-of-the-shop";
  const page = await open({ at: "/" });
  await page.getByRole("button", { name: "Rotate the key of shop" }).click();
  await page.getByLabel("New key").fill(key);
  await page.getByLabel(/stay valid for/).selectOption({ label: "1 h" });
  await confirmOpen(page, "Rotate the key");
  await relay.send([eventOf(1, "notebook")], { key });
  // Within its grace period.
  await relay.send([eventOf(2, "notebook")]);
}

async function probe({ world: { relay, vendors }, open }: Stage): Promise<void> {
  const page = await open({ at: "/d/production/search" });
  await page.getByRole("button", { name: "Probe now" }).click();
  await page.getByRole("dialog").waitFor();
  // Any earlier, and the lane might try again by itself before it is probed.
  vendors.search.recover();
  await confirmOpen(page, "Probe now");
  await laneBecomes(relay, "search", ({ account }) => account.delivered > 0, "was not tried again");
  await page.getByRole("cell", { name: "200" }).first().waitFor();
}

async function attempts({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ at: "/d/production/analytics" });
  const rows = page.getByRole("region", { name: "Table of attempts" }).getByRole("row");
  await rows.nth(1).waitFor();
  const newest = (): Promise<string> => rows.nth(1).innerText();
  const before = await newest();
  await relay.send([eventOf(3, "notebook")]);
  await until(async () => (await newest()) !== before, TAKEN_MAX_MS, "the attempt is not shown");
  await page.getByRole("button", { name: "Hold" }).click();
  await page.getByRole("button", { name: "Go on" }).waitFor();
}

export const laneFlows: readonly Flow[] = [
  { name: "attempts are shown as they happen, and can be held", run: attempts },
  { name: "a lane is paused, and resumed", run: pauseAndResume },
  { name: "a lane is paused by keyboard alone; Escape does nothing to it", run: byKeyboard },
  { name: "a refused key is what is wrong; rotating it, with grace, delivers what waited", run: rotateDestination },
  { name: "a source's key is rotated; both keys are taken within the grace period", run: rotateSource },
  { name: "a lane that waits is probed, and delivers at once", run: probe },
];
