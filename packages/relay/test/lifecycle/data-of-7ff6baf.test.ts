/** A data directory that commit 7ff6baf left: see test/fixtures/data-of-7ff6baf. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig, type ReplayView, type RunningRelay, startRelay, type Trace } from "@waybill/relay";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { JSON_TYPE, send, until } from "../lib/world.ts";

const FIXTURE = join(import.meta.dirname, "../fixtures/data-of-7ff6baf");
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
/** The longest that may be configured. */
const LONG = "3650d";

interface Sent {
  readonly key?: string;
  readonly ids: readonly string[];
}

interface Expected {
  readonly events: number;
  readonly segment: Sent;
  readonly hook: Sent;
  readonly accounts: Readonly<Record<"segment" | "hook", { readonly delivered: number; readonly rejected: number }>>;
  readonly deadLetters: number;
  readonly replay: ReplayView;
}

const expected = JSON.parse(readFileSync(`${FIXTURE}/expected.json`, "utf8")) as Expected;

interface World {
  readonly relay: RunningRelay;
  readonly sent: { readonly segment: Sent[]; readonly hook: Sent[] };
}

async function start(): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-test-"));
  execFileSync("tar", ["-xzf", `${FIXTURE}/data.tar.gz`, "-C", directory]);
  const sent: World["sent"] = { segment: [], hook: [] };
  const server = await startServer(({ path, headers, body }) => {
    const parsed = JSON.parse(Buffer.from(body).toString()) as unknown;
    const events = (Array.isArray(parsed) ? parsed : (parsed as { batch: unknown }).batch) as { messageId: string }[];
    const key = headers["idempotency-key"];
    const ids = events.map(({ messageId }) => messageId);
    sent[path === "/hook" ? "hook" : "segment"].push({ ...(key === undefined ? {} : { key }), ids });
    return { status: 200, headers: { "content-type": "application/json" }, body: "{}" };
  });
  const common = { backoff: { base: "10ms", max: "50ms" }, batch: { linger: "5ms", maxEvents: 10 } };
  const text = JSON.stringify({
    listen: "127.0.0.1:0",
    dataDirectory: `${directory}/data`,
    admin: { listen: "127.0.0.1:0" },
    network: { allowPrivateAddresses: true },
    // However old the fixture is.
    retention: { maxAge: LONG },
    dedupe: { window: LONG },
    environments: {
      test: {
        sources: { web: { protocol: "segment", writeKeys: ["first-key"] } },
        destinations: {
          segment: { vendor: "segment", url: `${server.url}/segment`, writeKey: "outbound", ...common },
          hook: { vendor: "http", url: `${server.url}/hook`, format: "json", ...common },
        },
      },
    },
  });
  const relay = await startRelay(loadConfig({ file: "test", text, env: {} }), { logger: silent as never });
  onTestFinished(async () => {
    await relay.stop();
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { relay, sent };
}

const ids = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, at) => `m-${from + at}`);

async function traced({ relay }: World, id: string): Promise<Trace["events"][number]["destinations"]> {
  const { json } = await send(relay.adminUrl, "GET", `/v1/trace/${id}`, "", {});
  return (json as unknown as Trace).events[0]?.destinations ?? [];
}

function settled({ relay }: World): Promise<void> {
  return until(() => relay.accounts().lanes.every(({ account }) => account.pending === 0));
}

test("its lanes go on at their cursors, with the batch that was on its way first, as it was", async () => {
  const world = await start();
  await settled(world);
  const { segment, hook } = world.sent;
  const { events, accounts } = expected;
  expect(hook[0]).toEqual(expected.hook);
  const first = accounts.hook.delivered;
  expect(expected.hook.ids).toEqual(ids(first, first + 10));
  // Several may be on their way at once; each event is sent once.
  expect(hook.flatMap((batch) => batch.ids).sort()).toEqual(ids(first, events).sort());
  const live = segment.find(({ ids: [id] }) => id === expected.segment.ids[0]);
  expect(live).toEqual(expected.segment);
  const { delivered, rejected } = accounts.segment;
  expect(expected.segment.ids[0]).toBe(`m-${delivered + rejected}`);
  const lanes = world.relay.accounts().lanes.map(({ destination, account }) => ({ destination, account }));
  expect(lanes).toMatchObject([
    {
      destination: "segment",
      account: { accepted: events, delivered: events - rejected, rejected, pending: 0, balanced: true },
    },
    { destination: "hook", account: { accepted: events, delivered: events, pending: 0, balanced: true } },
  ]);
});

test("its replay goes on after what it had sent", async () => {
  const world = await start();
  const { replay } = expected;
  await until(() => world.relay.accounts().replays[0]?.state === "done");
  const chosen = ids(0, 60).filter((id) => Number(id.slice(2)) % 3 === 0 && Number(id.slice(2)) % 10 !== 7);
  expect(replay.account).toMatchObject({ accepted: chosen.length, delivered: 10 });
  expect(world.relay.accounts().replays).toMatchObject([
    { id: replay.id, account: { accepted: chosen.length, delivered: chosen.length, pending: 0, balanced: true } },
  ]);
  const again = world.sent.segment.flatMap((batch) => batch.ids).filter((id) => chosen.includes(id));
  expect(again).toEqual(chosen.slice(10));
});

test("its dead letters are listed and can be sent again; events of before and after are traced", async () => {
  const world = await start();
  await settled(world);
  const { adminUrl } = world.relay;
  const page = await send(adminUrl, "GET", "/v1/dead-letters/test/segment", "", {});
  expect(page.json["deadLetters"]).toHaveLength(expected.deadLetters);
  expect(page.json["deadLetters"]).toMatchObject([
    { deadLetterId: 0, state: "waiting", event: { messageId: "m-7" } },
    {},
    {},
    {},
    {},
    {},
  ]);
  const [rejected] = await traced(world, "m-7");
  expect(rejected).toMatchObject({ outcome: "rejected", deadLetter: { state: "waiting" } });
  expect(rejected?.attempts.at(-1)).toMatchObject({ status: 400 });
  expect(await traced(world, `m-${expected.events - 1}`)).toMatchObject([
    { outcome: "delivered", attempts: [{ status: 200 }] },
    { outcome: "delivered", attempts: [{ status: 200 }] },
  ]);
  // That commit kept no outcomes of single events: nobody guesses.
  expect((await traced(world, "m-0"))[0]).toMatchObject({ outcome: "unknown" });
  expect((await traced(world, "m-0"))[0]?.attempts).not.toEqual([]);
  await send(adminUrl, "POST", "/v1/dead-letters/test/segment/retry", "", JSON_TYPE);
  await until(async () => (await traced(world, "m-7"))[0]?.outcome === "delivered");
  expect((await traced(world, "m-7"))[0]).toMatchObject({ deadLetter: { state: "retried" } });
});

test("its log takes more, from the same sources, and knows the ids that it has", async () => {
  const world = await start();
  const batch = ["new", "m-3"].map((messageId) => ({ type: "track", userId: "u", event: "New", messageId }));
  const headers = { authorization: `Basic ${btoa("first-key:")}` };
  expect((await send(world.relay.intakeUrl, "POST", "/v1/batch", { batch }, headers)).status).toBe(200);
  await settled(world);
  expect(world.sent.hook.flatMap((one) => one.ids)).toContain("new");
  expect(world.relay.accounts().sources).toMatchObject([{ accepted: 1, duplicates: 1 }]);
  expect(world.relay.accounts().lanes[0]?.account.accepted).toBe(expected.events + 1);
  expect(await traced(world, "new")).toMatchObject([{ outcome: "delivered" }, { outcome: "delivered" }]);
});
