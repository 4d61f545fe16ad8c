/** Callers get the vendor's own answer from any relay, whichever has the lane. */
import type { RunningRelay } from "@waybill/relay";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { GetFluxlyClient } from "waybill/getfluxly";
import { TrophyClient } from "waybill/trophy";
import { send } from "../lib/world.ts";
import { startCluster } from "./lib/cluster-world.ts";
import { AUTHORIZED, startTwo } from "./lib/reachable.ts";

const USERS = Array.from({ length: 12 }, (_, index) => `user-${index}`);

interface Handler {
  readonly handle: Parameters<typeof startServer>[0];
}

/** Two relays that take the vendor's events and deliver them to an emulator of its. */
async function startBefore(
  vendor: string,
  emulator: Handler,
  keys: { readonly in: string; readonly out: string },
): Promise<readonly [RunningRelay, RunningRelay]> {
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  return startTwo(
    await startCluster({
      sources: { app: { protocol: vendor, writeKeys: [keys.in] } },
      destinations: {
        [vendor]: { vendor, url: server.url, writeKey: keys.out, backoff: { base: "10ms", max: "50ms" } },
      },
    }),
  );
}

test("Trophy's client gets the vendor's totals and refusals from either relay", async () => {
  const emulator = new emulators.TrophyEmulator({});
  const relays = await startBefore("trophy", emulator, { in: "in.secret", out: "out" });
  for (const [round, relay] of relays.entries()) {
    const trophy = new TrophyClient({ apiKey: "in.secret", baseUrl: `${relay.intakeUrl}/v1`, maxRetries: 0 });
    const answers = await Promise.all(
      USERS.map((id) =>
        trophy.metrics.event({ key: "words", user: { id }, value: 2, idempotencyKey: `${id}-${round}` }),
      ),
    );
    expect(answers.map(({ total }) => total)).toEqual(USERS.map(() => 2 * (round + 1)));
    for (const id of USERS.slice(0, 4)) {
      const refused = trophy.metrics.event({ key: "words", user: { id }, value: 1, attributes: { odd: "x" } });
      await expect(refused).rejects.toMatchObject({ statusCode: 422 });
    }
  }
  expect(USERS.map((id) => emulator.total(id, "words"))).toEqual(USERS.map(() => 4));
});

test("GetFluxly's client gets the vendor's answer to an alias from either relay", async () => {
  const relays = await startBefore("getfluxly", new emulators.GetFluxlyEmulator(), {
    in: "gflux_secret_in",
    out: "gflux_secret_out",
  });
  for (const relay of relays) {
    const fluxly = new GetFluxlyClient({ token: "gflux_secret_in", apiHost: relay.intakeUrl });
    const merged = await Promise.all(USERS.map((userId) => fluxly.alias({ userId, previousId: `was-${userId}` })));
    expect(merged).toMatchObject(USERS.map((id) => ({ user_id: id, merged_at: expect.any(String) as string })));
  }
});

test("the answers of a relay are for relays alone, also with the admin token", async () => {
  const [one] = await startBefore("trophy", new emulators.TrophyEmulator({}), { in: "in.secret", out: "out" });
  const path = "/v1/exchanges/test%2F0/trophy/0?waitMs=1";
  expect((await send(one.adminUrl, "GET", path, "", {})).status).toBe(401);
  expect((await send(one.adminUrl, "GET", path, "", AUTHORIZED)).json).toMatchObject({ code: "relays_only" });
});
