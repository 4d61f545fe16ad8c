/**
 * The overview as the relay sends it: `connecting` until the first comes, `live`, and `lost` when
 * the stream ended. A stream that the browser gave up is opened again, later each time.
 */
import { after, now, type Timer } from "../browser/clock.ts";
import { createStore, type Store } from "../browser/store.ts";
import { setRelayNow } from "../browser/ticks.ts";
import { urlOf } from "./routes.ts";
import { loadSession } from "./session.ts";
import type { Overview } from "./types.ts";

export interface LiveState {
  readonly is: "connecting" | "live" | "lost";
  readonly overview: Overview | undefined;
  /** When the connection was lost, by this machine's clock. */
  readonly lostAt: number | undefined;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

export const live: Store<LiveState> = createStore<LiveState>({
  is: "connecting",
  overview: undefined,
  lostAt: undefined,
});

let source: EventSource | undefined;
let retry: Timer | undefined;
let retryMs = FIRST_RETRY_MS;

export function startLive(): void {
  stopLive();
  const opened = new EventSource(urlOf("watchOverview", {}));
  source = opened;
  opened.addEventListener("overview", (event) => {
    const overview = JSON.parse((event as MessageEvent<string>).data) as Overview;
    retryMs = FIRST_RETRY_MS;
    setRelayNow(overview.now);
    live.set({ is: "live", overview, lostAt: undefined });
  });
  opened.addEventListener("error", () => {
    if (source !== opened) return;
    const { overview, lostAt } = live.get();
    live.set({ is: "lost", overview, lostAt: lostAt ?? now() });
    // A browser tries again by itself, but neither after a refusal nor with patience.
    opened.close();
    retry = after(retryMs, () => {
      void loadSession();
      startLive();
    });
    retryMs = Math.min(LAST_RETRY_MS, retryMs * 2);
  });
}

export function stopLive(): void {
  retry?.cancel();
  source?.close();
  source = undefined;
}
