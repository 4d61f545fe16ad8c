/** Two relays before one cluster: each shows both, and answers for what the other one has. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Accounts, Overview, RunningRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { type Answered, send, until } from "../lib/world.ts";
import { areDone, capture, PARTITIONS, startCluster } from "./lib/cluster-world.ts";
import { AUTHORIZED, clusterOf, get, post, startTwo } from "./lib/reachable.ts";

async function replaysOf(relay: RunningRelay): Promise<readonly { readonly state: string }[]> {
  return JSON.parse((await get(relay, "/v1/replays")).text) as { state: string }[];
}

test("any relay shows all lanes with their relay, and answers for those of the other one", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  const cluster = await clusterOf(one);
  expect(cluster.lanes).toHaveLength(PARTITIONS);
  expect(cluster.relays.map(({ isMissing, hasSameConfig }) => [isMissing, hasSameConfig])).toEqual([
    [false, true],
    [false, true],
  ]);
  world.emulator.refuse((event) => (event["properties"] as { number: number }).number % 2 === 1);
  const receipt = await capture(one, 0, 40);
  await until(() => areDone(40, one, two));

  for (const relay of [one, two]) {
    let dead = 0;
    for (const { partition } of cluster.lanes) {
      expect((await get(relay, `/v1/lanes/test%2F${partition}/emulator`)).status).toBe(200);
      const page = (await get(relay, `/v1/dead-letters/test%2F${partition}/emulator`)).json;
      dead += (page["deadLetters"] as unknown[]).length;
    }
    expect(dead).toBe(20);
    const traced = await get(relay, `/v1/receipts/${receipt}`);
    const events = traced.json["events"] as { event: { messageId: string }; destinations: { outcome: string }[] }[];
    expect(events.map(({ event }) => event.messageId).toSorted()).toEqual(
      Array.from({ length: 40 }, (_, index) => `m-${index}`).toSorted(),
    );
    for (const { event, destinations } of events)
      expect(destinations.map(({ outcome }) => outcome)).toEqual([
        Number(event.messageId.slice(2)) % 2 === 1 ? "rejected" : "delivered",
      ]);
    const found = (await get(relay, "/v1/trace/m-7")).json["events"] as { environment: string; position: number }[];
    expect(found).toMatchObject([{ event: { messageId: "m-7" }, destinations: [{ outcome: "rejected" }] }]);
    const [place] = found.map((one) => `${encodeURIComponent(one.environment)}/${one.position}`);
    const stored = await get(relay, `/v1/events/${place}`);
    expect((await get(relay, `/v1/receipts/${String(stored.json["receipt"])}`)).json["events"]).toMatchObject(found);
  }

  world.emulator.refuse(() => false);
  const page = (await get(two, "/v1/dead-letters/test/emulator?limit=7")).json;
  expect(page["deadLetters"]).toHaveLength(7);
  expect((await get(two, "/v1/dead-letters/test/emulator/reasons")).json).toMatchObject({ groups: [{ waiting: 20 }] });
  const retried = await post(two, "/v1/dead-letters/test/emulator/retry");
  expect([retried.status, retried.json["events"]]).toEqual([202, 20]);
  await until(() => world.emulator.received === 40);
  await until(async () => (await replaysOf(one)).every(({ state }) => state === "done"));
  expect(await replaysOf(one)).toHaveLength((retried.json["replays"] as unknown[]).length);
  // What has been delivered does not wait any more.
  expect((await post(one, "/v1/dead-letters/test/emulator/retry")).json).toEqual({ events: 0, replays: [] });
  expect(world.emulator.received).toBe(40);
});

test("a lane is paused, its cursor moved, probed and resumed from the relay that does not have it", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  const [mine] = two.accounts().lanes;
  const lane = `/v1/lanes/${encodeURIComponent(mine?.environment ?? "")}/emulator`;
  expect((await post(one, `${lane}/probe`)).json).toMatchObject({ code: "nothing_to_probe" });
  expect((await post(one, `${lane}/pause`)).status).toBe(204);
  const waiting = (): number =>
    two.accounts().lanes.find(({ environment }) => environment === mine?.environment)?.account.pending ?? 0;
  for (let from = 0; waiting() === 0; from += 40) {
    await capture(one, from, 40);
    await until(() => [one, two].some((relay) => relay.accounts().lanes.some(({ account }) => account.pending > 0)));
  }
  const events = waiting();
  const moved = await post(one, `${lane}/cursor`, { position: events });
  expect([moved.status, moved.json]).toEqual([200, { from: 0, to: events, events, moved: true }]);
  expect((await post(one, `${lane}/resume`)).status).toBe(204);
  await until(() => waiting() === 0);
  for (const [path, body] of [
    ["cursor", { position: 1 }],
    ["probe", ""],
  ] as const)
    expect((await post(one, `/v1/lanes/test/emulator/${path}`, body)).json["detail"]).toBe(
      "test is in 4 partitions: name one, test/0 to test/3.",
    );
});

/** The text of a stream so far. */
async function streamed(relay: RunningRelay, path: string): Promise<() => string> {
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const response = await fetch(`${relay.adminUrl}${path}`, { headers: AUTHORIZED, signal: controller.signal });
  let text = "";
  const read = async (): Promise<void> => {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
  };
  read().catch(() => undefined);
  await until(() => text.includes(": listening"));
  return () => text;
}

test("a tail has the events of all relays with their receipts, and goes on when one of them stops", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  const tail = await streamed(one, "/v1/tail?environment=test");
  const eventsOf = (): { receipt: string; event: { messageId: string } }[] =>
    [...tail().matchAll(/^data: (\{"environment".*)\n\n/gm)].map(
      ([, data]) => JSON.parse(data ?? "") as { receipt: string; event: { messageId: string } },
    );
  await capture(two, 0, 100);
  await until(() => eventsOf().length >= 100);
  expect(
    eventsOf()
      .map(({ event }) => event.messageId)
      .toSorted(),
  ).toEqual(Array.from({ length: 100 }, (_, index) => `m-${index}`).toSorted());
  const [{ receipt, event } = { receipt: "", event: {} }] = eventsOf().slice(37);
  const traced = await get(two, `/v1/receipts/${receipt}`);
  expect(traced.json["events"]).toMatchObject([{ event }]);
  await two.stop();
  await until(() => one.accounts().lanes.length === PARTITIONS);
  let next = 100;
  await until(async () => {
    await capture(one, next, 40);
    next += 40;
    // What came before does not show that the partitions of the other relay are followed here.
    const later = eventsOf().slice(100);
    return new Set(later.map(({ receipt }) => receipt.split("@")[0])).size === PARTITIONS;
  });
  const seen = eventsOf().length;
  await capture(one, next, 40);
  await until(() => eventsOf().length >= seen + 40);
  expect(tail()).toMatch(/\{"reason":"The relay .* has ended its tail: what it has is not shown until it answers\."\}/);
});

const accountsOf = async (relay: RunningRelay): Promise<Accounts> =>
  (await get(relay, "/v1/accounts")).json as unknown as Accounts;
const overviewOf = async (relay: RunningRelay): Promise<Overview> =>
  (await get(relay, "/v1/overview")).json as unknown as Overview;

test("accounts and overview have every lane once, with its relay, and sums that balance, from any relay", async () => {
  const world = await startCluster();
  const relays = await startTwo(world);
  const [one, two] = relays;
  world.emulator.refuse((event) => (event["properties"] as { number: number }).number % 4 === 0);
  await capture(one, 0, 30);
  await capture(two, 30, 10);
  await until(() => areDone(40, ...relays));
  world.emulator.refuse(() => false);
  await post(one, "/v1/replays/test", { destination: "emulator" });
  await until(async () => (await replaysOf(two)).every(({ state }) => state === "done"));
  const ids = (await clusterOf(one)).relays.map(({ id }) => id);
  for (const relay of relays) {
    const accounts = await accountsOf(relay);
    expect(accounts.lanes.map(({ environment }) => environment)).toEqual(["test/0", "test/1", "test/2", "test/3"]);
    expect(accounts.missingLanes).toEqual([]);
    expect(new Set(accounts.lanes.map(({ report }) => report?.relay))).toEqual(new Set(ids));
    expect(accounts.sources).toMatchObject([{ environment: "test", source: "web", accepted: 40 }]);
    for (const { account, environment, report } of accounts.lanes) {
      const { accepted, delivered, rejected } = account;
      expect([accepted, account.balanced], environment).toEqual([delivered + rejected, true]);
      // One record for each request that has events of the partition.
      expect(report?.offset).toBeLessThanOrEqual(2);
    }

    const { environments, problems, replays } = await overviewOf(relay);
    expect(environments.map(({ name }) => name)).toEqual(["test"]);
    const { sources, destinations } = environments[0] as Overview["environments"][number];
    expect(sources).toMatchObject([{ name: "web", acceptedTotal: 40 }]);
    expect(destinations).toMatchObject([
      {
        name: "emulator",
        waitingEvents: 0,
        deadLetters: 10,
        account: { accepted: 40, delivered: 30, rejected: 10, pending: 0, balanced: true },
        missingPartitions: [],
      },
    ]);
    expect(destinations[0]?.partitions?.map(({ partition }) => partition)).toEqual([0, 1, 2, 3]);
    const history = await get(relay, "/v1/history?environment=test&destination=emulator");
    expect(history.json["environments"]).toMatchObject([{ name: "test", destinations: [{ name: "emulator" }] }]);
    expect((await get(relay, "/v1/history?environment=test%2F3&destination=emulator")).status).toBe(200);
    expect((await get(relay, "/v1/history?environment=nowhere")).json).toMatchObject({ code: "unknown_environment" });
    expect((await get(relay, "/v1/history?destination=none")).json).toMatchObject({ code: "unknown_lane" });
    expect(replays).toMatchObject([
      { environment: "test", state: "done", account: { accepted: 40, delivered: 40, balanced: true } },
    ]);
    expect(replays[0]?.partitions).toHaveLength(PARTITIONS);
    // Of all lanes, of whichever relay, one.
    expect(problems.filter(({ code }) => code === "dead_letters")).toMatchObject([{ environment: "test" }]);
  }
});

test("a relay that hangs or answers what is not known is named, and its lanes are listed as missing", async () => {
  const world = await startCluster();
  let hangs = true;
  const server = createServer((_request, response) => {
    if (!hangs) response.writeHead(200, { "content-type": "application/json" }).end('{"lanes":"all"}');
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const [one, two] = await startTwo(world, `http://127.0.0.1:${port}`);
  const theirs = two
    .accounts()
    .lanes.map(({ environment, destination }) => ({ environment, destination }))
    .toSorted((a, b) => (a.environment < b.environment ? -1 : 1));
  const missing = theirs.map(({ environment }) => Number(environment.split("/")[1])).toSorted();

  const hanging = await get(one, "/v1/accounts");
  expect(hanging.headers["waybill-unanswered"]).toMatch(/has not answered within 5 s$/);
  expect(hanging.json["missingLanes"]).toEqual(theirs);
  expect(hanging.json["lanes"]).toHaveLength(PARTITIONS - theirs.length);
  hangs = false;
  const strange = await get(one, "/v1/overview");
  expect(strange.headers["waybill-unanswered"]).toMatch(/answers with what is not known here$/);
  const { environments, problems } = strange.json as unknown as Overview;
  expect(environments[0]?.destinations[0]?.missingPartitions).toEqual(missing);
  expect(problems).toContainEqual(expect.objectContaining({ code: "relay_unanswered", severity: "warning" }));
});

test("a relay is known by the name that it advertises", async () => {
  const { start } = await startCluster();
  const relay = await start("one", { kafka: { advertise: "http://relay-1.internal:8081" } });
  const asked = (host: string): Promise<Answered> => send(relay.adminUrl, "GET", "/v1/cluster", "", { host });
  expect((await asked("relay-1.internal:8081")).status).toBe(200);
  expect((await asked("relay-2.internal:8081")).json).toMatchObject({ status: 403, code: "unknown_host" });
});

test("what was stored before the relays were started is found by id, by position and by a search", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  await capture(one, 0, 40);
  await until(() => areDone(40, one, two));
  await one.stop();
  await two.stop();

  const relays = await startTwo(world);
  const { lanes } = await clusterOf(relays[0]);
  for (const relay of relays) {
    const [found] = (await get(relay, "/v1/trace/m-7")).json["events"] as { environment: string; position: number }[];
    expect(found).toMatchObject({ event: { messageId: "m-7" }, destinations: [{ outcome: "delivered" }] });
    expect((await get(relay, "/v1/trace/m-40")).status).toBe(404);
    let searched = 0;
    for (const { partition } of lanes) {
      const since = new Date(Date.now() - 3_600_000).toISOString();
      const answers = await Promise.all(
        ["", `&since=${since}`].map((more) => get(relay, `/v1/search?environment=test%2F${partition}${more}`)),
      );
      const [all = [], sinceThen = []] = answers.map(({ json }) => json["events"] as unknown[]);
      expect(sinceThen).toEqual(all);
      searched += all.length;
    }
    expect(searched).toBe(40);
  }
});

test("a position of a partition is traced where its log was opened after it", async () => {
  const world = await startCluster();
  const [one, two] = await startTwo(world);
  const receipt = await capture(one, 0, 1);
  const partition = /\/(\d+)@/.exec(receipt)?.[1];
  await until(() => areDone(1, one, two));
  await one.stop();
  await two.stop();
  for (const relay of await startTwo(world)) {
    const traced = await get(relay, `/v1/receipts/test%2F${partition}/0`);
    expect(traced.json["events"]).toMatchObject([{ event: { messageId: "m-0" }, position: 0 }]);
    expect((await get(relay, `/v1/events/test%2F${partition}/0`)).json).toMatchObject({ messageId: "m-0" });
  }
});
