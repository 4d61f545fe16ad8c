/** What is shown is current, says when it is not, and can be shared. */
import type { Page } from "playwright-core";
import { title } from "../lib/actions.ts";
import { check } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { Relay, TOKEN } from "../lib/relay.ts";

const UPDATES = 5;
const PAINTS = 5;
const MODE_AT = "/d/production/archive";

/** From the request that changes something to the frame that shows it. */
async function liveUpdate({ world: { relay }, figures, open, note }: Stage): Promise<void> {
  const page = await open({ at: MODE_AT });
  await title(page, "archive");
  await page.getByRole("button", { name: "Resume" }).waitFor();
  const took: number[] = [];
  for (let update = 0; update < UPDATES * 2; update += 1) {
    const action = update % 2 === 0 ? "resume" : "pause";
    const shown = shownAt(page, action === "resume" ? "Pause" : "Resume");
    const from = Date.now();
    await relay.admin(`/v1/lanes/production/archive/${action}`, { method: "POST" });
    took.push((await shown) - from);
  }
  figures.liveUpdateMs = took.toSorted((a, b) => a - b)[UPDATES];
  note(`${took.join(", ")} ms; the middle counts: other work of the machine makes some slower`);
}

/** When a button of that name is there, by the clock of the browser, which is this machine's. */
function shownAt(page: Page, button: string): Promise<number> {
  return page.evaluate(
    (name) =>
      new Promise<number>((resolve) => {
        const look = (): void => {
          const isThere = [...document.querySelectorAll("main button")].some(({ textContent }) => textContent === name);
          if (isThere) resolve(Date.now());
          else requestAnimationFrame(look);
        };
        look();
      }),
    button,
  );
}

/** Each in a browser context of its own, so that nothing is in its cache. */
async function firstPaint({ figures, open, note }: Stage): Promise<void> {
  const took: number[] = [];
  for (let paint = 0; paint < PAINTS; paint += 1) {
    const page = await open({ at: "/" });
    await title(page, "Overview");
    const entry = await page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          new PerformanceObserver((list, observer) => {
            const [first] = list.getEntriesByName("first-contentful-paint");
            if (first === undefined) return;
            observer.disconnect();
            resolve(first.startTime);
          }).observe({ type: "paint", buffered: true });
        }),
    );
    took.push(Math.round(entry));
    await page.context().close();
  }
  figures.firstPaintMs = Math.min(...took);
  note(`${took.join(", ")} ms; the fastest counts: other work of the machine makes the others slower`);
}

async function restart({ open, after }: Stage): Promise<void> {
  const relay = await new Relay({
    production: {
      sources: { shop: { protocol: "segment", writeKeys: ["shop-key"] } },
      destinations: { lost: { vendor: "segment", url: "http://127.0.0.1:9", writeKey: "any-key" } },
    },
  }).start();
  after(() => relay.stop());
  const page = await open({ relay, at: "/d/production/lost" });
  await title(page, "lost");
  await page.getByText("Live", { exact: true }).waitFor();
  await relay.stop();
  await page.getByText(/Connection lost since/).waitFor();
  await title(page, "lost");
  await relay.start();
  // Sessions end with the process.
  await page.getByLabel("Admin token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await title(page, "lost");
  await page.getByText("Live", { exact: true }).waitFor();
}

async function sharedLink({ open }: Stage): Promise<void> {
  const page = await open({ at: "/dead/production/warehouse" });
  await page.getByLabel("Event name").fill("Order Completed");
  await page.waitForURL(/name=Order/);
  const rows = (one: Page): Promise<void> => one.getByRole("checkbox").first().waitFor();
  await rows(page);
  const other = await open({ as: "readOnly", at: page.url() });
  await rows(other);
  check((await other.getByLabel("Event name").inputValue()) === "Order Completed", "the filter is not in the link");
  await page.getByRole("link", { name: "Replays" }).click();
  await title(page, "Replays");
  await page.goBack();
  await title(page, "Dead letters of warehouse");
  check((await page.getByLabel("Event name").inputValue()) === "Order Completed", "going back loses the filter");
}

export const liveFlows: readonly Flow[] = [
  { name: "the overview is painted within half a second", run: firstPaint },
  { name: "a change is shown within a second", run: liveUpdate },
  { name: "a relay that restarts is reported as lost, and comes back", run: restart },
  { name: "a link to a filtered view shows the same to somebody else; going back keeps it", run: sharedLink },
];
