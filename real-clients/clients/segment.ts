/** Segment's SDK of Node, killed with requests on their way: it sends them again. */
import { emulators } from "@waybill/testing";
import { expect } from "vitest";
import { SOON } from "../relay.ts";
import type { Scenario } from "../scenario.ts";
import { load } from "../setup.ts";
import { EVENT_NAMES, HALF } from "../stage.ts";

/** As much of the SDK as is used here. */
interface Sdk {
  readonly Analytics: new (options: object) => { track(event: object): void; closeAndFlush(): Promise<unknown> };
}

export const scenarios: readonly Scenario[] = [
  {
    client: "@segment/analytics-node",
    how: "its own path",
    async run(stage) {
      const segment = new emulators.SegmentEmulator({ limits: "none" });
      stage.keeps(() => segment.events.map(({ event }) => String(event["event"])));
      const url = await stage.serve(segment);
      const relay = await stage.startRelay({
        web: {
          sources: { site: { protocol: "segment", writeKeys: ["w"] } },
          destinations: { segment: { vendor: "segment", url, writeKey: "out", ...SOON } },
        },
      });
      const { Analytics } = load<Sdk>("@segment/analytics-node");
      const analytics = new Analytics({ writeKey: "w", host: relay.url, flushAt: 5, flushInterval: 50 });
      for (const [index, event] of EVENT_NAMES.entries()) {
        if (index === HALF) await relay.restart();
        analytics.track({ userId: "u", event: stage.give(event) });
      }
      await analytics.closeAndFlush();
      await stage.arrived();
      expect(segment.received).toBe(EVENT_NAMES.length);
    },
  },
];
