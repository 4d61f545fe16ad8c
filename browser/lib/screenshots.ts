/** The pictures of docs/guide/page.md. */
import { mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser, Page, PageScreenshotOptions } from "playwright-core";
import { sleep } from "./check.ts";
import { newFigures } from "./figures.ts";
import type { Theme } from "./flow.ts";
import { runFlow } from "./stage.ts";
import { VIEWS, type View } from "./views.ts";
import type { World } from "./world.ts";

/** Seen from what this file is compiled to. */
const FOLDER = fileURLToPath(new URL("../../../docs/guide/images/", import.meta.url));
/** So that the charts of the last hour have something to show. */
const WARM_UP_MS = 90_000;
const SHORT_WARM_UP_MS = 25_000;
/** The guide has no picture of these. */
const UNTOLD = new Set(["not-found"]);
const HEIGHT_MAX_PX = 1_400;
const SETTLE_MS = 1_500;

interface ScreenshotOptions {
  readonly browser: Browser;
  readonly world: World;
  /** Gets every view at each width, in each theme. Default: the guide gets its pictures. */
  readonly pictures?: string | undefined;
}

interface Picture {
  readonly name: string;
  readonly theme: Theme;
  readonly width: number;
}

/** Answers what was written. */
export async function takeScreenshots(options: ScreenshotOptions): Promise<string> {
  const { browser, world, pictures } = options;
  const folder = pictures ?? FOLDER;
  mkdirSync(folder, { recursive: true });
  await sleep(pictures === undefined ? WARM_UP_MS : SHORT_WARM_UP_MS);
  const lines: string[] = [];
  for (const view of VIEWS)
    for (const picture of picturesOf(view, pictures !== undefined)) {
      const path = `${folder}/${picture.name}.png`;
      const fault = await take({ browser, world, view, picture, path });
      lines.push(fault ?? `${picture.name}.png ${statSync(path).size} bytes`);
    }
  return `${lines.join("\n")}\n`;
}

function picturesOf({ name }: View, isEach: boolean): readonly Picture[] {
  if (!isEach && UNTOLD.has(name)) return [];
  if (!isEach && name === "overview")
    return [
      { name, theme: "light", width: 1440 },
      { name: "overview-narrow", theme: "dark", width: 360 },
    ];
  if (!isEach) return [{ name, theme: "light", width: 1440 }];
  return (["light", "dark"] as const).flatMap((theme) =>
    [360, 1440].map((width) => ({ name: `${name}-${width}-${theme}`, theme, width })),
  );
}

/** The whole view, or its beginning where it is long. */
async function clipOf(page: Page, { width }: Picture): Promise<PageScreenshotOptions> {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  return { fullPage: true, clip: { x: 0, y: 0, width, height: Math.min(height, HEIGHT_MAX_PX) } };
}

async function take(options: {
  readonly browser: Browser;
  readonly world: World;
  readonly view: View;
  readonly picture: Picture;
  readonly path: string;
}): Promise<string | undefined> {
  const { browser, world, view, picture, path } = options;
  const { fault } = await runFlow(
    {
      name: picture.name,
      run: async (stage) => {
        const page = await view.open(stage, { theme: picture.theme, width: picture.width });
        await sleep(SETTLE_MS);
        await page.screenshot({ path, ...(view.isModal === true ? {} : await clipOf(page, picture)) });
      },
    },
    { browser, world, figures: newFigures() },
  );
  return fault;
}
