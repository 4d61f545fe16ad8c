/** Dark or light: as the system has it, or as the reader has chosen. */
import { createStore, type Store } from "./store.ts";

export type Theme = "system" | "light" | "dark";

const KEY = "waybill-theme";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

export const theme: Store<Theme> = createStore(read());

/** Changes whenever colours do, also when the system's setting changes. */
export const themeVersion: Store<number> = createStore(0);

export function startTheme(): void {
  apply();
  theme.watch(() => {
    apply();
    write(theme.get());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => themeVersion.set(themeVersion.get() + 1));
}

function apply(): void {
  const chosen = theme.get();
  if (chosen === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen;
  themeVersion.set(themeVersion.get() + 1);
}

/** A browser may refuse the page its storage. */
function read(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return THEMES.find((one) => one === stored) ?? "system";
  } catch {
    return "system";
  }
}

function write(chosen: Theme): void {
  try {
    if (chosen === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // It holds until the page is left.
  }
}
