/** A relay waits at another one for a vendor's answer: signed, bounded, and never for an error. */
import type { HttpResponse, Transport } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { ExchangeRequests, WAITING_MAX } from "../../../src/admin/cluster/exchange-requests.ts";
import { Peers } from "../../../src/admin/cluster/peers.ts";
import { signatureOf } from "../../../src/admin/cluster/relay-signature.ts";
import type { ExchangePlace } from "../../../src/cluster/cluster-exchanges.ts";
import type { RelayEntry } from "../../../src/cluster/relay-directory.ts";
import type { ExchangeAnswer } from "../../../src/delivery/exchanges.ts";
import { laneEntry, relayEntry } from "../../lib/relay-entries.ts";
import { type Answered, send, until } from "../../lib/world.ts";
import { AUTHORIZED, READ_ONLY, startRelay, type TestRelay, TOKEN } from "./lib/test-relay.ts";

const PLACE: ExchangePlace = { environment: "production", destination: "segment", partition: 3, offset: 41 };
const PATH = "/v1/exchanges/production%2F3/segment/41";
const DEADLINE_MS = 10_000;
const ANSWER: HttpResponse = { status: 201, headers: { "content-type": "application/json" }, body: '{"total":5}' };

/** A relay that has the lane, and what it was asked for. */
async function startOwner(
  answer: () => ExchangeAnswer | Promise<ExchangeAnswer>,
  token = TOKEN,
): Promise<{ readonly owner: TestRelay; readonly waits: (readonly [ExchangePlace, number])[] }> {
  const waits: (readonly [ExchangePlace, number])[] = [];
  const answerHere = async (place: ExchangePlace, ms: number): Promise<ExchangeAnswer> => {
    waits.push([place, ms]);
    return answer();
  };
  return { owner: await startRelay("two", { token, view: { answerHere } }), waits };
}

/** Another relay, which knows that one. */
async function answerFrom(owner: TestRelay, changes: Partial<RelayEntry> = {}): Promise<ExchangeAnswer> {
  const one = await startRelay("one");
  one.known.push(relayEntry("two", { adminUrl: owner.url, lanes: [laneEntry(3)], ...changes }));
  return new ExchangeRequests(() => one.peers).answerTo(PLACE, DEADLINE_MS);
}

test("the vendor's answer comes from the relay that has the lane, which waits a little less long", async () => {
  const { owner, waits } = await startOwner(() => ANSWER);
  expect(await answerFrom(owner)).toEqual(ANSWER);
  expect(waits).toEqual([[PLACE, 9_000]]);
});

test.each([
  ["the vendor has not answered", undefined, undefined],
  ["the lane is not there", "nobody", "nobody"],
] as const)("%s: so it is known here", async (_what, answer, known) => {
  const { owner } = await startOwner(() => answer);
  expect(await answerFrom(owner)).toBe(known);
});

test.each([
  ["is not known", { lanes: [] }],
  ["is missing", { isMissing: true }],
  ["is this one", { isSelf: true }],
  ["says no address", { adminUrl: "" }],
  ["is not there", { adminUrl: "http://127.0.0.1:9" }],
  ["was started again", { id: "id-before" }],
] as const)("nobody answers where the owner %s", async (_what, changes) => {
  const { owner, waits } = await startOwner(() => ANSWER);
  expect(await answerFrom(owner, changes)).toBe("nobody");
  expect(waits).toEqual([]);
});

test("nobody answers where the owner has another token, or fails", async () => {
  const other = await startOwner(() => ANSWER, "another-token");
  expect(await answerFrom(other.owner)).toBe("nobody");
  expect(other.waits).toEqual([]);
  const failing = await startRelay("two", {
    view: { answerHere: () => Promise.reject(new Error("defect")), onError: () => undefined },
  });
  expect(await answerFrom(failing)).toBe("nobody");
});

const random = new SeededRandom(3);
const signed = (path: string): Readonly<Record<string, string>> => ({
  authorization: signatureOf({ to: "id-two", method: "GET", path }, "", {
    token: TOKEN,
    clock: nodeClock,
    random,
  }),
});

test("only relays are answered, each request once", async () => {
  const { owner, waits } = await startOwner(() => ANSWER);
  const get = (headers: Readonly<Record<string, string>>, path = PATH): Promise<Answered> =>
    send(owner.url, "GET", path, "", headers);
  expect((await get({})).status).toBe(401);
  expect((await get({ "waybill-relay": "id-two" })).status).toBe(401);
  expect((await get(AUTHORIZED)).json).toMatchObject({ status: 403, code: "relays_only" });
  expect((await get({ ...AUTHORIZED, "waybill-relay": "id-two" })).status).toBe(403);
  expect((await get({ authorization: `Bearer ${READ_ONLY}` })).status).toBe(403);
  expect((await get(signed(PATH), `${PATH}?waitMs=5`)).status).toBe(401);
  expect(waits).toEqual([]);
  const once = signed(PATH);
  expect((await get(once)).json).toEqual({ status: 201, contentType: "application/json", body: '{"total":5}' });
  expect((await get(once)).status).toBe(401);
  const whole = "/v1/exchanges/production/segment/41";
  expect((await get(signed(whole), whole)).json).toMatchObject({ status: 404, code: "unknown_lane" });
  expect(waits).toHaveLength(1);
});

/** Requests to a relay behind a network of the test's making. */
function requestsOver(transport: Transport, clock = new VirtualClock()): ExchangeRequests {
  const relay = relayEntry("two", { adminUrl: "http://two.test", lanes: [laneEntry(3)] });
  const directory = { selfId: "id-one", relays: () => [relay] };
  const options = { clock, random: new SeededRandom(1), token: () => TOKEN, directory, partitions: 12 };
  const peers = new Peers({ ...options, transport });
  return new ExchangeRequests(() => peers);
}

test.each([
  ["an older relay", { status: 404, headers: {}, body: '{"code":"unknown_route"}' }],
  ["too many that wait", { status: 503, headers: {}, body: '{"code":"too_many_streams"}' }],
  ["a redirect", { status: 302, headers: { location: "http://elsewhere.test" }, body: "" }],
  ["a page", { status: 200, headers: {}, body: "<html>" }],
  ["another object", { status: 200, headers: {}, body: '{"status":"200","body":{}}' }],
  ["half an answer", { status: 200, headers: {}, body: '{"status":200', cut: true }],
])("nobody answers where the answer is %s", async (_what, response) => {
  expect(await requestsOver(() => Promise.resolve(response)).answerTo(PLACE, DEADLINE_MS)).toBe("nobody");
});

test("whoever answers in a relay's place gives data, and no page under the relay's name", async () => {
  const body = JSON.stringify({ status: 200, contentType: "text/html", body: "<script>" });
  const answer = await requestsOver(() => Promise.resolve({ status: 200, headers: {}, body })).answerTo(PLACE, 1);
  expect(answer).toEqual({ status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body: "<script>" });
});

test("an owner that hangs is given up by the deadline, and a flood waits for it no further", async () => {
  const clock = new VirtualClock();
  let open = 0;
  const hanging: Transport = (_request, signal) => {
    open += 1;
    return new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => {
        open -= 1;
        reject(new Error("aborted"));
      }),
    );
  };
  const requests = requestsOver(hanging, clock);
  const flood = (count: number): readonly Promise<ExchangeAnswer>[] =>
    Array.from({ length: count }, () => requests.answerTo(PLACE, DEADLINE_MS));
  const answers = flood(WAITING_MAX);
  expect(await Promise.all(flood(1_000))).toEqual(Array(1_000).fill("nobody"));
  expect(open).toBe(WAITING_MAX);
  await clock.advance(DEADLINE_MS);
  expect(await Promise.all(answers)).toEqual(Array(WAITING_MAX).fill("nobody"));
  expect(open).toBe(0);
  void flood(1);
  expect(open).toBe(1);
});

test("who waits at a relay leaves room for people, and what nobody waits for any more makes room", async () => {
  const { owner, waits } = await startOwner(() => new Promise(() => undefined));
  const controllers: AbortController[] = [];
  const ends: Promise<unknown>[] = [];
  for (let index = 0; index < 128; index++) {
    const controller = new AbortController();
    controllers.push(controller);
    ends.push(
      fetch(`${owner.url}${PATH}`, { headers: signed(PATH), signal: controller.signal }).catch(() => undefined),
    );
  }
  await until(() => waits.length === 128);
  const refused = await send(owner.url, "GET", PATH, "", signed(PATH));
  expect(refused.json).toMatchObject({ status: 503, code: "too_many_streams" });
  expect((await send(owner.url, "GET", "/v1/replays", "", AUTHORIZED)).status).toBe(200);
  for (const controller of controllers) controller.abort();
  await Promise.all(ends);
  await until(() => {
    void send(owner.url, "GET", PATH, "", signed(PATH)).catch(() => undefined);
    return waits.length > 128;
  });
});
