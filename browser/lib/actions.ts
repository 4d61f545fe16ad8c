/** What several flows do. */
import type { Locator, Page } from "playwright-core";
import { until } from "./check.ts";
import type { AnyRelay } from "./relay.ts";

const MODE_MAX_MS = 15_000;

export interface LaneOverview {
  readonly name: string;
  readonly mode: string;
  readonly waitingEvents: number;
  readonly deadLetters: number;
  readonly account: { readonly delivered: number; readonly dropped: number };
}

export interface RelayOverview {
  readonly environments: readonly {
    readonly name: string;
    readonly sources: readonly { readonly name: string; readonly acceptedTotal: number }[];
    readonly destinations: readonly LaneOverview[];
  }[];
  readonly replays: readonly { readonly id: string; readonly state: string; readonly of: string }[];
}

export function overviewOf(relay: AnyRelay): Promise<RelayOverview> {
  return relay.admin<RelayOverview>("/v1/overview");
}

/** As the relay has it, without the page. **Errors**: it does not exist. */
export async function laneOf(relay: AnyRelay, destination: string): Promise<LaneOverview> {
  const { environments } = await overviewOf(relay);
  const lane = environments.flatMap(({ destinations }) => destinations).find(({ name }) => name === destination);
  if (lane === undefined) throw new Error(`the relay has no destination ${destination}`);
  return lane;
}

export async function laneBecomes(
  relay: AnyRelay,
  destination: string,
  holds: (lane: LaneOverview) => boolean,
  what: string,
): Promise<void> {
  await until(async () => holds(await laneOf(relay, destination)), MODE_MAX_MS, `${destination}: ${what}`);
}

/** Presses a button, and the one of the dialog that it opens; resolves when that is gone. */
export async function confirm(page: Page, button: string | RegExp, inDialog: string | RegExp = button): Promise<void> {
  await page.getByRole("button", { name: button }).first().click();
  await confirmOpen(page, inDialog);
}

export async function confirmOpen(page: Page, inDialog: string | RegExp): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: inDialog }).click();
  await dialog.waitFor({ state: "detached" });
}

export function title(page: Page, name: string | RegExp): Promise<void> {
  return page.getByRole("heading", { level: 1, name }).waitFor();
}

/** The story of an event is as it was when it was loaded: it is loaded again until it has this. */
export async function storyHas(page: Page, what: Locator): Promise<void> {
  const again = page.getByRole("button", { name: "Load again" });
  const has = async (): Promise<boolean> => {
    if ((await what.count()) > 0) return true;
    await again.click();
    return false;
  };
  await again.waitFor();
  await until(has, MODE_MAX_MS, "the story of the event does not go on");
}

/** Of the events that a tail shows. */
export async function partitionsInTail(page: Page): Promise<ReadonlySet<string>> {
  const links = await page
    .getByRole("list", { name: "Events, newest first" })
    .getByRole("link", { name: "story" })
    .evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  return new Set(links.map((href) => href?.split("/")[2] ?? ""));
}

/** With the session of the tab, as a script of the page itself would. */
export function fetchInside(
  page: Page,
  path: string,
  init: { readonly method: string; readonly body?: string },
): Promise<{ readonly status: number; readonly text: string }> {
  return page.evaluate(
    async ({ path, init }) => {
      const response = await fetch(path, { ...init, headers: { "content-type": "application/json" } });
      return { status: response.status, text: await response.text() };
    },
    { path, init },
  );
}
