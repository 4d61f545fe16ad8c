/** Segment's own SDK, unmodified, delivers through the relay by changing its `host` alone. */
import { Analytics as Analytics3 } from "@segment/analytics-node";
import { Analytics as Analytics2 } from "analytics-node-2";
import { expect, test } from "vitest";
import { KEY, startWorld, until } from "../lib/world.ts";

test.each([
  ["3.1.0", Analytics3],
  ["2.3.0", Analytics2 as unknown as typeof Analytics3],
])(
  "@segment/analytics-node %s delivers every kind of event, once, through outages of relay and vendor",
  async (_version, Analytics) => {
    const { relay, emulator, arrived } = await startWorld();
    const errors: unknown[] = [];
    const analytics = new Analytics({ writeKey: KEY, host: relay.intakeUrl, flushAt: 5, flushInterval: 100 });
    analytics.on("error", (error) => errors.push(error));
    analytics.identify({ userId: "u", traits: { plan: "pro" } });
    analytics.group({ userId: "u", groupId: "g" });
    analytics.page({ userId: "u", name: "Home" });
    analytics.screen({ userId: "u", name: "Main" });
    analytics.alias({ userId: "u", previousId: "a" });
    emulator.fail({ kind: "status", status: 503, times: 2 });
    for (let index = 0; index < 195; index++) analytics.track({ userId: "u", event: "Tracked", properties: { index } });
    await analytics.closeAndFlush();
    await arrived(200);
    await until(() => relay.accounts().lanes[0]?.account.pending === 0);
    expect(errors).toEqual([]);
    expect(relay.accounts().lanes[0]?.account).toMatchObject({ accepted: 200, delivered: 200, balanced: true });
    const tracked = emulator.events
      .filter(({ type }) => type === "track")
      .map(({ event }) => (event["properties"] as { index: number }).index);
    expect(new Set(tracked).size).toBe(195);
    for (const type of ["identify", "group", "page", "screen", "alias"])
      expect(emulator.events.filter((event) => event.type === type)).toHaveLength(1);
  },
);
