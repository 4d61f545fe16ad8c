/** Trophy's SDK, which waits for each answer and reads the user's new total in it. */
import { emulators } from "@waybill/testing";
import { expect } from "vitest";
import { SOON } from "../relay.ts";
import type { Scenario } from "../scenario.ts";
import { load } from "../setup.ts";
import { EVENT_NAMES, HALF } from "../stage.ts";

/** As much of the SDK as is used here. */
interface Sdk {
  readonly TrophyApiClient: new (
    options: object,
  ) => { readonly metrics: { event(key: string, event: object): Promise<{ readonly total: number }> } };
}

export const scenarios: readonly Scenario[] = [
  {
    client: "@trophyso/node",
    how: "its own path",
    async run(stage) {
      const trophy = new emulators.TrophyEmulator({ eventAttributes: ["name"] });
      stage.keeps(() => trophy.events.map(({ attributes }) => String(attributes["name"])));
      const url = `${await stage.serve(trophy)}/v1`;
      const relay = await stage.startRelay({
        game: {
          sources: { app: { protocol: "trophy", writeKeys: ["in.secret"] } },
          destinations: { trophy: { vendor: "trophy", url, writeKey: "out.secret", ...SOON } },
        },
      });
      const { TrophyApiClient } = load<Sdk>("@trophyso/node");
      const environment = { api: `${relay.url}/v1`, admin: relay.url };
      const { metrics } = new TrophyApiClient({ apiKey: "in.secret", environment });
      for (const [index, name] of EVENT_NAMES.entries()) {
        if (index === HALF) await relay.restart();
        const event = { user: { id: "u" }, value: 1, attributes: { name: stage.give(name) } };
        expect(await metrics.event("words", event)).toMatchObject({ total: index + 1 });
      }
      await stage.arrived();
      expect(trophy.total("u", "words")).toBe(EVENT_NAMES.length);
    },
  },
];
