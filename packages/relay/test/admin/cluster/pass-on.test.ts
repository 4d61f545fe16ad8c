/** Any relay answers for what another one has: by one step, signed, and never with the token. */
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Transport } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { faultText, Peers } from "../../../src/admin/cluster/peers.ts";
import { signatureOf } from "../../../src/admin/cluster/relay-signature.ts";
import { laneEntry, relayEntry } from "../../lib/relay-entries.ts";
import { type Answered, JSON_TYPE, send } from "../../lib/world.ts";
import { ask, READ_ONLY, startRelay, type TestRelay, TOKEN } from "./lib/test-relay.ts";

const LANE = "/v1/lanes/production%2F3/segment";
const REPLAY = {
  id: "0190163d-8694-739b-aea5-966c26f8ad91",
  environment: "production/3",
  destination: "segment",
  of: "log",
  createdAtMs: 1,
  state: "running",
  account: {
    accepted: 1,
    delivered: 0,
    rejected: 0,
    dropped: 0,
    droppedByReason: {},
    expired: 0,
    pending: 1,
    balanced: true,
  },
};

/** A lane that is probed once; then nothing waits. */
function probed(): { readonly environment: object; count(): number } {
  let probes = 0;
  const environment = { name: "production/3", destination: () => ({ probe: () => ++probes === 1 }) };
  return { environment, count: () => probes };
}

test("a request about a lane goes to the relay that has it, and its answer comes back as it is", async () => {
  const moves: unknown[] = [];
  const destination = {
    moveCursor: (move: unknown) => (moves.push(move), Promise.resolve({ from: 2, to: 7, events: 5 })),
  };
  const environment = { name: "production/3", destination: () => destination };
  const two = await startRelay("two", { environments: { "production/3": environment } });
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(3)] }));
  const moved = await ask(one, "POST", `${LANE}/cursor`, { position: 7, dryRun: true });
  expect([moved.status, moved.json]).toEqual([200, { from: 2, to: 7, events: 5, moved: false }]);
  expect(moved.headers["content-type"]).toBe("application/json");
  expect(moves).toEqual([{ to: 7, dryRun: true }]);
  expect((await ask(one, "POST", `${LANE}/cursor`, { position: "soon" })).status).toBe(400);
});

test("a refusal of the relay that has the lane comes back with its status and code", async () => {
  const lane = probed();
  const two = await startRelay("two", { environments: { "production/3": lane.environment } });
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(3)] }));
  expect((await ask(one, "POST", `${LANE}/probe`)).status).toBe(202);
  expect((await ask(one, "POST", `${LANE}/probe`)).json).toMatchObject({ status: 409, code: "nothing_to_probe" });
});

test("what is here, and what is not configured, is not passed on", async () => {
  const lane = probed();
  const one = await startRelay("one", { environments: { "production/3": lane.environment } });
  one.known.push(relayEntry("two", { adminUrl: "http://127.0.0.1:9", lanes: [laneEntry(3), laneEntry(99)] }));
  expect((await ask(one, "POST", `${LANE}/probe`)).status).toBe(202);
  for (const path of ["production%2F99/segment", "production%2F4/other", "nowhere%2F3/segment"])
    expect((await ask(one, "POST", `/v1/lanes/${path}/probe`)).status, path).toBe(404);
  for (const [path, body] of [
    ["probe", ""],
    ["cursor", { position: 1 }],
  ] as const) {
    const { json } = await ask(one, "POST", `/v1/lanes/production/segment/${path}`, body);
    expect(json).toMatchObject({ status: 400, code: "invalid_request" });
    expect(json["detail"]).toBe("production is in 12 partitions: name one, production/0 to production/11.");
  }
  expect(one.asked).toEqual([]);
});

test("two relays that each believe that the other has a lane do not ask in circles", async () => {
  const [one, two] = [await startRelay("one"), await startRelay("two")];
  one.known.push(relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(3)] }));
  two.known.push(relayEntry("one", { adminUrl: one.url, lanes: [laneEntry(3)] }));
  const answer = await ask(one, "POST", `${LANE}/probe`);
  expect(answer.json).toMatchObject({ status: 503, code: "lane_without_relay" });
  expect(answer.headers["retry-after"]).toBe("5");
  expect([one.asked.length, two.asked.length]).toEqual([1, 0]);
});

test("a lane that nobody has, or a missing relay had, is answered with 503 and when to try again", async () => {
  const one = await startRelay("one");
  expect((await ask(one, "POST", `${LANE}/probe`)).json).toMatchObject({ code: "lane_without_relay" });
  one.known.push(relayEntry("two", { adminUrl: "http://127.0.0.1:9", lanes: [laneEntry(3)], isMissing: true }));
  expect((await ask(one, "POST", `${LANE}/probe`)).json).toMatchObject({ code: "lane_without_relay" });
  expect(one.asked).toEqual([]);
});

test.each([
  ["nothing", undefined],
  ["a file", "file:///etc/passwd"],
  ["a password", "http://user:password@127.0.0.1:9"],
  ["a path", "http://127.0.0.1:9/v1/config?"],
  ["noise", "::"],
])("a relay that gives %s as its address is not asked, and named with the setting", async (_what, adminUrl) => {
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { lanes: [laneEntry(3)], ...(adminUrl === undefined ? {} : { adminUrl }) }));
  const { json } = await ask(one, "POST", `${LANE}/probe`);
  expect(json).toMatchObject({ status: 502, code: "relay_unanswered" });
  expect(json["detail"]).toMatch(/^The relay two does not say where its admin API is: set kafka\.advertise there\.$/);
  expect(one.asked).toEqual([]);
});

test("a relay with another token refuses, and the operator hears that it is not his token", async () => {
  const lane = probed();
  const two = await startRelay("two", { token: "another-token", environments: { "production/3": lane.environment } });
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(3)] }));
  const { json } = await ask(one, "POST", `${LANE}/probe`);
  expect(json).toMatchObject({ status: 502, code: "relay_unanswered" });
  expect(json["detail"]).toContain("all relays need the same admin.token");
  expect(lane.count()).toBe(0);
});

test("a process that has a relay's address now does not answer for it", async () => {
  const three = await startRelay("three", { environments: { "production/3": probed().environment } });
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { adminUrl: three.url, lanes: [laneEntry(3)] }));
  expect((await ask(one, "POST", `${LANE}/probe`)).json["detail"]).toContain("another relay has its address");
});

/** A server that somebody wrote into the topic: it keeps what comes. */
async function startThief(): Promise<{
  readonly url: string;
  readonly stolen: { url: string; headers: IncomingHttpHeaders }[];
}> {
  const stolen: { url: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    stolen.push({ url: request.url ?? "", headers: request.headers });
    response.writeHead(202).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, stolen };
}

test("who writes an address of his own gets no token, and no request that he could use", async () => {
  const lane = probed();
  const two = await startRelay("two", { environments: { "production/3": lane.environment } });
  const one = await startRelay("one");
  const thief = await startThief();
  one.known.push(relayEntry("thief", { adminUrl: thief.url, lanes: [laneEntry(3)] }));
  await ask(one, "POST", `${LANE}/probe`);
  const [request] = thief.stolen;
  expect(JSON.stringify(thief.stolen)).not.toContain(TOKEN);
  const authorization = String(request?.headers.authorization);
  const again = (url: string, to: string, path = `${LANE}/probe`, body = ""): Promise<Answered> =>
    send(url, "POST", path, body, { authorization, "waybill-relay": to, ...(body === "" ? {} : JSON_TYPE) });
  expect((await again(two.url, "id-thief")).status).toBe(421);
  expect((await again(two.url, "id-two")).status).toBe(401);
  expect((await again(one.url, "id-one")).status).toBe(401);
  expect(lane.count()).toBe(0);
});

test("a signed request is taken once, unchanged, within a minute", async () => {
  const lane = probed();
  const two = await startRelay("two", { environments: { "production/3": lane.environment } });
  const path = `${LANE}/probe`;
  const signed = (body = "", clock: { now(): number } = nodeClock): string =>
    signatureOf({ to: "id-two", method: "POST", path }, body, {
      token: TOKEN,
      clock: { ...nodeClock, now: () => clock.now() },
      random: new SeededRandom(7),
    });
  const post = (authorization: string, to = path, body = ""): Promise<Answered> =>
    send(two.url, "POST", to, body, { authorization, ...(body === "" ? {} : JSON_TYPE) });
  expect((await post(signed("", { now: () => nodeClock.now() - 61_000 }))).status).toBe(401);
  expect((await post(signed("", { now: () => nodeClock.now() + 61_000 }))).status).toBe(401);
  expect((await post(signed(), `${LANE}/pause`)).status).toBe(401);
  expect((await post(signed("{}"), path, "[]")).status).toBe(401);
  expect((await post(`${signed().slice(0, -1)}x`)).status).toBe(401);
  expect(lane.count()).toBe(0);
  const once = signatureOf({ to: "id-two", method: "POST", path }, "", {
    token: TOKEN,
    clock: nodeClock,
    random: new SeededRandom(8),
  });
  expect((await post(once)).status).toBe(202);
  expect((await post(once)).status).toBe(401);
  expect(lane.count()).toBe(1);
});

test("the read-only token changes nothing at another relay either", async () => {
  const two = await startRelay("two", { environments: { "production/3": probed().environment } });
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { adminUrl: two.url, lanes: [laneEntry(3)] }));
  const headers = { authorization: `Bearer ${READ_ONLY}` };
  expect((await send(one.url, "POST", `${LANE}/probe`, "", headers)).status).toBe(403);
  expect(one.asked).toEqual([]);
});

test("what is at a relay's address is never shown as a page of ours", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html", location: "/x" }).end("<script>alert(1)</script>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const one = await startRelay("one");
  const adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  one.known.push(relayEntry("two", { adminUrl, lanes: [laneEntry(3)] }));
  const { headers } = await ask(one, "GET", LANE);
  expect([headers["content-type"], headers["location"]]).toEqual([undefined, undefined]);
});

test("a relay that hangs is given up by a deadline, and one that answers too much is refused", async () => {
  const clock = new VirtualClock();
  const relay = relayEntry("two", { adminUrl: "http://two.test" });
  const request = { method: "GET", path: "/v1/replays", body: "", deadlineMs: 5_000 } as const;
  const options = { clock, random: new SeededRandom(1), token: () => TOKEN, partitions: 1 };
  const directory = { selfId: "id-one", relays: () => [relay] };
  const hanging: Transport = (_request, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
  const asking = new Peers({ ...options, directory, transport: hanging }).requestAll(request);
  await clock.advance(5_000);
  const [answer] = await asking;
  expect(answer !== undefined && "fault" in answer ? faultText(answer) : "").toBe("two has not answered within 5 s");
  const long: Transport = () => Promise.resolve({ status: 200, headers: {}, body: "[", cut: true });
  expect(await new Peers({ ...options, directory, transport: long }).request(relay, request)).toHaveProperty("fault");
});

test("replays of all relays are one list, and a relay that does not answer is named beside it", async () => {
  const two = await startRelay("two", { view: { accounts: () => ({ replays: [REPLAY] }) } });
  const one = await startRelay("one");
  one.known.push(
    relayEntry("one", { isSelf: true, adminUrl: one.url }),
    relayEntry("two", { adminUrl: two.url }),
    relayEntry("three\n\u{1f600}", { isMissing: true }),
  );
  const { headers, text } = await ask(one, "GET", "/v1/replays");
  expect(JSON.parse(text)).toEqual([REPLAY]);
  expect(headers["waybill-unanswered"]).toBe("three\\u000a?? is missing");
  expect(one.asked).toHaveLength(1);
  expect(two.asked).toEqual([]);
});

test("a replay over all partitions is one beside those of single relays, with what each relay reports", async () => {
  const OF_ALL = "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1aa";
  const part = { ...REPLAY, environment: "production/3", id: OF_ALL };
  const own = { ...REPLAY, id: "0198c0de-7a11-7c3e-9f00-5d3c6ad2b1ab" };
  const given: unknown[] = [];
  const replays = {
    views: (running: unknown) => (given.push(running), Promise.resolve([{ ...REPLAY, id: OF_ALL }])),
    cancel: (id: string) => Promise.resolve(id === OF_ALL),
  };
  const view = { clusterReplays: () => new Map([["production", replays]]) };
  const two = await startRelay("two", { view: { ...view, accounts: () => ({ replays: [part, own] }) } });
  const one = await startRelay("one", { view });
  one.known.push(relayEntry("two", { adminUrl: two.url }));
  expect(JSON.parse((await ask(one, "GET", "/v1/replays")).text)).toEqual([{ ...REPLAY, id: OF_ALL }, own]);
  expect(given).toEqual([[part, own]]);
  expect((await ask(one, "DELETE", `/v1/replays/production/${OF_ALL}`)).status).toBe(204);
  expect((await ask(one, "DELETE", `/v1/replays/production%2F3/${OF_ALL}`)).status).toBe(204);
  expect((await ask(one, "DELETE", "/v1/replays/production/none")).json).toMatchObject({ code: "unknown_replay" });
});

test("an event's story has what each relay knows of it, by its receipt from any relay", async () => {
  const traced = (destination: string, position: number): object => ({
    environment: "production/3",
    position,
    destinations: [{ destination, outcome: "delivered", attempts: [], replays: [] }],
  });
  const having = (destination: string): Promise<TestRelay> => {
    const environment = { name: "production/3", traceAt: (at: number) => Promise.resolve(traced(destination, at)) };
    const placeOf = (_name: string, { offset }: { offset: number }): Promise<object> =>
      Promise.resolve({ environment, position: offset * 2 });
    return startRelay(destination, { environments: { "production/3": environment }, view: { placeOf } });
  };
  const [crm, segment, one] = [await having("crm"), await having("segment"), await startRelay("one")];
  one.known.push(relayEntry("crm", { adminUrl: crm.url }), relayEntry("segment", { adminUrl: segment.url }));
  const { json } = await ask(one, "GET", "/v1/receipts/production/3@7+2");
  const events = json["events"] as { position: number; destinations: { destination: string }[] }[];
  expect(events.map(({ position, destinations }) => [position, destinations.map((one) => one.destination)])).toEqual([
    [14, ["crm", "segment"]],
    [15, ["crm", "segment"]],
  ]);
  expect((await ask(one, "GET", "/v1/receipts/nowhere/3@7")).json).toMatchObject({ code: "unknown_environment" });
  expect((await ask(one, "GET", "/v1/receipts/production/7")).json).toMatchObject({ status: 400 });
  one.known.splice(0, 2, relayEntry("three"));
  expect((await ask(one, "GET", "/v1/receipts/production/3@7")).json).toMatchObject({ code: "relay_unanswered" });
});
