/** The relay's clock as the page knows it, once a second: ages go on between answers. */
import { every, now } from "./clock.ts";
import { createStore, type Store, useStore } from "./store.ts";

const TICK_MS = 1_000;

/** How far the relay's clock is ahead of this machine's. */
let aheadMs = 0;
const ticks: Store<number> = createStore(now());

export function startTicks(): void {
  every(TICK_MS, () => {
    if (document.visibilityState === "visible") ticks.set(relayNow());
  });
}

/** Of an answer that carries the relay's time. */
export function setRelayNow(atMs: number): void {
  aheadMs = atMs - now();
}

function relayNow(): number {
  return now() + aheadMs;
}

/** The relay's time; draws the component again each second. */
export function useNow(): number {
  return useStore(ticks);
}
