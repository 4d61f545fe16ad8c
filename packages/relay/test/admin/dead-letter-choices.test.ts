/** Dead letters by their reason and by what is in the event; counted before anything is done. */
import { expect, test } from "vitest";
import { groupedByReason } from "../../src/delivery/dead-letter-choice.ts";
import { type Answered, type RelayWorld, send, startWorld, until } from "../lib/world.ts";

const PATH = "/v1/dead-letters/test/emulator";

function ask({ relay }: RelayWorld, method: string, path: string): Promise<Answered> {
  return send(relay.adminUrl, method, path, "", {});
}

async function startRefusing(): Promise<RelayWorld> {
  const world = await startWorld();
  world.emulator.refuse((event) => event["event"] !== "Good");
  const batch = [...Array(9).keys()].map((n) => ({
    type: "track",
    userId: `u-${n % 3}`,
    event: n < 6 ? "Bad" : "Worse",
    messageId: `d-${n}`,
  }));
  await world.post("/v1/batch", { batch });
  await until(() => world.relay.accounts().lanes[0]?.deadLetters.waiting === 9);
  return world;
}

test("a list has the name and the id of each event, and is chosen by name and user", async () => {
  const world = await startRefusing();
  const ids = async (query: string): Promise<readonly unknown[]> => {
    const { json } = await ask(world, "GET", `${PATH}?${query}`);
    return (json["deadLetters"] as Record<string, unknown>[]).map(({ messageId }) => messageId);
  };
  const { json } = await ask(world, "GET", `${PATH}?limit=1`);
  expect(json).toMatchObject({ deadLetters: [{ name: "Bad", messageId: "d-0" }] });
  expect(await ids("name=Worse")).toEqual(["d-6", "d-7", "d-8"]);
  expect(await ids("user=u-1")).toEqual(["d-1", "d-4", "d-7"]);
  expect(await ids("user=u-1&name=Bad&id=1,7")).toEqual(["d-1"]);
  expect(await ids("user=u-1&limit=2")).toEqual(["d-1", "d-4"]);
  const exported = await ask(world, "GET", `${PATH}/export?name=Worse`);
  expect(exported.text.trim().split("\n")).toHaveLength(3);
});

test("a dry run counts and does nothing; then what matches is discarded or sent, and nothing else", async () => {
  const world = await startRefusing();
  const state = (): object | undefined => world.relay.accounts().lanes[0]?.deadLetters;
  expect((await ask(world, "POST", `${PATH}/discard?name=Worse&dryRun=true`)).json).toEqual({
    events: 3,
    discarded: 0,
  });
  const retried = await ask(world, "POST", `${PATH}/retry?user=u-1&dryRun=true`);
  expect(retried).toMatchObject({ status: 200, json: { events: 3 } });
  expect(state()).toMatchObject({ waiting: 9, discarded: 0 });
  expect(world.relay.accounts().replays).toEqual([]);
  expect((await ask(world, "POST", `${PATH}/discard?dryRun=yes`)).status).toBe(400);
  const discarded = await ask(world, "POST", `${PATH}/discard?name=Worse&dryRun=false`);
  expect(discarded.json).toEqual({ events: 3, discarded: 3 });
  expect(state()).toMatchObject({ waiting: 6, discarded: 3 });
  world.emulator.refuse(() => false);
  const sent = await ask(world, "POST", `${PATH}/retry?user=u-1`);
  expect(sent).toMatchObject({ status: 202, json: { account: { accepted: 2 } } });
  await until(() => world.relay.accounts().replays[0]?.state === "done");
  expect(state()).toMatchObject({ waiting: 4, retried: 2, discarded: 3 });
  expect(JSON.stringify(world.delivered.slice(-2))).toContain("d-4");
});

test("reasons are counted, the most frequent first, of what waits and is chosen", async () => {
  const world = await startRefusing();
  const groups = async (query = ""): Promise<unknown> => (await ask(world, "GET", `${PATH}/reasons${query}`)).json;
  expect(await groups()).toMatchObject({ groups: [{ waiting: 9, example: 8 }], others: 0 });
  expect(await groups("?name=Worse")).toMatchObject({ groups: [{ waiting: 3 }] });
  expect(await groups("?reason=nothing")).toEqual({ groups: [], others: 0 });
  await ask(world, "POST", `${PATH}/discard?name=Bad`);
  expect(await groups()).toMatchObject({ groups: [{ waiting: 3 }] });
  expect(await groups("?state=discarded")).toMatchObject({ groups: [{ waiting: 6 }] });
  expect((await ask(world, "GET", "/v1/dead-letters/test/nowhere/reasons")).status).toBe(404);
});

test("reasons that never end are bounded: 100 groups, the rest counted", async () => {
  async function* endless(): AsyncGenerator<never> {
    for (let n = 0; n < 5_000; n++)
      yield { reason: n % 2 === 0 ? "the same" : `id ${n}`, rejectedAtMs: n, deadLetterId: n } as never;
    await Promise.resolve();
  }
  const { groups, others } = await groupedByReason(endless());
  expect(groups).toHaveLength(100);
  expect(groups[0]).toEqual({ reason: "the same", waiting: 2_500, first: 0, last: 4_998, example: 4_998 });
  expect(others).toBe(2_401);
});
