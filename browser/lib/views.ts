/** Every view of the page, and the states of it that look different. */
import type { Page } from "playwright-core";
import { until } from "./check.ts";
import type { OpenOptions, Stage } from "./flow.ts";
import { Relay } from "./relay.ts";
import type { World } from "./world.ts";

export interface View {
  readonly name: string;
  /** A dialog covers it: only what is in the window is drawn. */
  readonly isModal?: boolean;
  /** Opens it, and resolves when it shows what it is about. */
  readonly open: (stage: Stage, options: OpenOptions) => Promise<Page>;
}

const FILLED_MAX_MS = 15_000;
/** A relay that has just begun has the first point of its last hour after ten seconds. */
const CHART_MAX_MS = 45_000;

function viewOf(name: string, at: string, ready: (page: Page) => Promise<unknown>): View {
  return {
    name,
    open: async (stage, options) => {
      const page = await stage.open({ ...options, at });
      await ready(page);
      return page;
    },
  };
}

const heading = (page: Page, name: string | RegExp): Promise<void> =>
  page.getByRole("heading", { name }).first().waitFor();

const chart = (page: Page): Promise<void> => page.locator(".u-over").first().waitFor({ timeout: CHART_MAX_MS });

export const VIEWS: readonly View[] = [
  viewOf("overview", "/", async (page) => {
    await heading(page, "What is wrong");
    await page.getByRole("link", { name: "warehouse", exact: true }).waitFor();
    await chart(page);
  }),
  viewOf("destination", "/d/production/warehouse", async (page) => {
    await heading(page, /^Settings/);
    await page
      .getByRole("link", { name: /event_refused/ })
      .first()
      .waitFor();
    await chart(page);
  }),
  viewOf("events", "/events?environment=production&user=user-7&go=1", async (page) => {
    await page.getByRole("cell", { name: "user-7" }).first().waitFor();
  }),
  {
    name: "event",
    open: async (stage, options) => {
      const page = await stage.open({ ...options, at: await storyOf(stage.world) });
      await heading(page, "Its story");
      await page.getByRole("button", { name: /^As warehouse gets it/ }).waitFor();
      return page;
    },
  },
  viewOf("tail", "/tail?environment=production", (page) => page.getByRole("link", { name: "story" }).nth(8).waitFor()),
  viewOf("dead-letter-overview", "/dead", (page) => page.getByRole("link", { name: "warehouse" }).waitFor()),
  viewOf("dead-letters", "/dead/production/warehouse", (page) => page.getByRole("checkbox").first().waitFor()),
  {
    name: "dead-letter",
    isModal: true,
    open: async (stage, options) => {
      const page = await stage.open({ ...options, at: "/dead/production/warehouse" });
      await page
        .getByRole("button", { name: /^Inspect dead letter/ })
        .first()
        .click();
      await page.getByRole("dialog").getByRole("button", { name: "Retry this one" }).waitFor();
      return page;
    },
  },
  {
    name: "replays",
    open: async (stage, options) => {
      await replaysOf(stage.world);
      const page = await stage.open({ ...options, at: "/replays?environment=production&destination=analytics" });
      await page.getByRole("progressbar").nth(1).waitFor();
      return page;
    },
  },
  viewOf("configuration", "/config", async (page) => {
    await page.getByRole("button", { name: "Check the file on disk" }).click();
    await page.getByText(/is valid/).waitFor();
  }),
  viewOf("send-events", "/start", (page) => page.getByRole("button", { name: "curl" }).waitFor()),
  {
    name: "first-run",
    open: async (stage, options) => {
      const page = await stage.open({ ...options, relay: await freshRelay(), at: "/" });
      await heading(page, /^No event has come yet/);
      await page.getByRole("button", { name: "curl" }).waitFor();
      return page;
    },
  },
  {
    name: "sign-in",
    open: async (stage, options) => {
      const page = await stage.open({ ...options, as: "nobody", at: "/" });
      await page.getByLabel("Admin token").waitFor();
      return page;
    },
  },
  viewOf("not-found", "/nowhere", (page) => page.getByText("There is nothing at this address").waitFor()),
];

let fresh: Promise<Relay> | undefined;

/** A relay to which nothing was ever sent. */
export function freshRelay(): Promise<Relay> {
  fresh ??= new Relay({
    production: {
      sources: {
        shop: { protocol: "segment", writeKeys: ["shop-key"] },
        "mobile-app": { protocol: "posthog", writeKeys: ["mobile-key"] },
      },
      destinations: { analytics: { vendor: "segment", url: "http://127.0.0.1:9", writeKey: "any-key" } },
    },
  }).start();
  return fresh;
}

interface DeadLetters {
  readonly deadLetters: readonly { readonly position: number }[];
}

/** Where the story of an event that became a dead letter is. */
async function storyOf({ relay }: World): Promise<string> {
  let position: number | undefined;
  const find = async (): Promise<boolean> => {
    const { deadLetters } = await relay.admin<DeadLetters>("/v1/dead-letters/production/warehouse?limit=1");
    position = deadLetters[0]?.position;
    return position !== undefined;
  };
  await until(find, FILLED_MAX_MS, "no dead letter came");
  return `/e/production/${position}`;
}

let replays: Promise<unknown> | undefined;

/** One that is over, and one that takes its time. */
function replaysOf({ relay }: World): Promise<unknown> {
  replays ??= (async () => {
    for (const eventsPerSecond of [undefined, 1])
      await relay.admin("/v1/replays/production", {
        method: "POST",
        body: { destination: "analytics", ...(eventsPerSecond === undefined ? {} : { eventsPerSecond }) },
      });
  })();
  return replays;
}
