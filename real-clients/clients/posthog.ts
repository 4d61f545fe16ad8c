/** PostHog's SDK of Node, found by the key in its body, with a prefix and without. */
import { emulators } from "@waybill/testing";
import { expect } from "vitest";
import { SOON } from "../relay.ts";
import type { Scenario } from "../scenario.ts";
import { load } from "../setup.ts";
import { EVENT_NAMES, HALF, type Stage } from "../stage.ts";

/** As much of the SDK as is used here. */
interface Sdk {
  readonly PostHog: new (
    key: string,
    options: object,
  ) => {
    capture(event: object): void;
    identify(event: object): void;
    on(name: string, run: () => void): void;
    flush(): Promise<unknown>;
    shutdown(ms: number): Promise<unknown>;
  };
}

const SHUTDOWN_MS = 10_000;

async function sendAll(stage: Stage, prefix: string): Promise<void> {
  const emulator = new emulators.PosthogEmulator({ apiKeys: ["phc_out"] });
  stage.keeps(() => emulator.events.map(({ event }) => String(event)));
  const url = await stage.serve(emulator);
  const relay = await stage.startRelay({
    product: {
      sources: { app2: { protocol: "posthog", writeKeys: ["phc_in"] } },
      destinations: { posthog: { vendor: "posthog", url, writeKey: "phc_out", ...SOON } },
    },
  });
  const { PostHog } = load<Sdk>("posthog-node");
  const posthog = new PostHog("phc_in", { host: `${relay.url}${prefix}`, flushAt: 5, flushInterval: 50 });
  posthog.on("error", () => undefined);
  stage.give("$identify");
  posthog.identify({ distinctId: "u", properties: { plan: "pro" } });
  for (const [index, event] of EVENT_NAMES.entries()) {
    if (index === HALF) {
      await posthog.flush();
      await relay.restart();
    }
    posthog.capture({ distinctId: "u", event: stage.give(event), properties: { index } });
  }
  await posthog.shutdown(SHUTDOWN_MS);
  await stage.arrived();
  expect(emulator.events).toHaveLength(EVENT_NAMES.length + 1);
}

export const scenarios: readonly Scenario[] = [
  { client: "posthog-node", how: "its own path", run: (stage) => sendAll(stage, "") },
  { client: "posthog-node", how: "the source's prefix", run: (stage) => sendAll(stage, "/s/app2") },
];
