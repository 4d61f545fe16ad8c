import { render } from "preact";
import { loadSession } from "./api/session.ts";
import { startTheme } from "./browser/theme.ts";
import { startTicks } from "./browser/ticks.ts";
import { startNavigation } from "./router/navigation.tsx";
import { App } from "./views/app.tsx";

export function start(element: HTMLElement): void {
  startTheme();
  startNavigation();
  startTicks();
  void loadSession();
  render(<App />, element);
}
