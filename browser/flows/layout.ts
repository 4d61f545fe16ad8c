/** Every view, in both themes, wide and narrow. */
import type { Page } from "playwright-core";
import { check } from "../lib/check.ts";
import type { Flow, Stage, Theme } from "../lib/flow.ts";
import { VIEWS } from "../lib/views.ts";

export const NARROW_PX = 360;
export const WIDE_PX = 1440;

async function everyView(stage: Stage, theme: Theme): Promise<void> {
  for (const view of VIEWS) {
    const page = await view.open(stage, { theme, width: WIDE_PX });
    await fits(page, `${view.name} at ${WIDE_PX} px`);
    await stage.axe(page, view.name);
    await page.setViewportSize({ width: NARROW_PX, height: 740 });
    await fits(page, `${view.name} at ${NARROW_PX} px`);
    // Colours are the same at every width.
    if (theme === "light") await stage.axe(page, view.name);
    await page.context().close();
  }
}

export async function fits(page: Page, what: string): Promise<void> {
  const over = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
  check(over <= 0, `${what}: ${over} px are beyond the edge`);
}

export const layoutFlows: readonly Flow[] = (["light", "dark"] as const).map((theme) => ({
  name: `every view at ${NARROW_PX} and ${WIDE_PX} px, ${theme}: axe finds nothing, nothing is beyond the edge`,
  group: theme,
  run: (stage) => everyView(stage, theme),
}));
