/** Requests from one relay to another. */
import type { Transport } from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { type PeerAnswer, type PeerRequest, Peers } from "../../../src/admin/cluster/peers.ts";
import { relayEntry } from "../../lib/relay-entries.ts";

const RELAY = relayEntry("two", { adminUrl: "http://two.test" });
const REQUEST: PeerRequest = { method: "GET", path: "/v1/long", body: "", deadlineMs: 30_000, isLong: true };

interface World {
  readonly clock: VirtualClock;
  /** When each path was asked for. */
  readonly asked: [path: string, atMs: number][];
  readonly answer: () => PeerAnswer | undefined;
}

/** `healthAnswers`: whether it says that it is there. It never answers to anything else. */
function requested(healthAnswers: (atMs: number) => boolean, request: PeerRequest = REQUEST): World {
  const clock = new VirtualClock();
  const startMs = clock.monotonic();
  const asked: [string, number][] = [];
  const transport: Transport = ({ url }, signal) => {
    const atMs = clock.monotonic() - startMs;
    const { pathname } = new URL(url);
    asked.push([pathname, atMs]);
    if (pathname === "/health" && healthAnswers(atMs)) return Promise.resolve({ status: 200, headers: {}, body: "" });
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
  };
  const peers = new Peers({
    clock,
    random: new SeededRandom(1),
    transport,
    token: () => undefined,
    directory: { selfId: "id-one", relays: () => [RELAY] },
    partitions: 3,
  });
  let answer: PeerAnswer | undefined;
  void peers.request(RELAY, request).then((found) => {
    answer = found;
  });
  return { clock, asked, answer: () => answer };
}

test("a relay that hangs is given up after 5 s, however long the request may take", async () => {
  const { clock, answer } = requested(() => false);
  await clock.advance(4_999);
  expect(answer()).toBeUndefined();
  await clock.advance(1);
  expect(answer()).toMatchObject({ fault: "has not answered within 5 s" });
});

test("a relay that works is waited for, until it hangs or its time is over", async () => {
  const working = requested(() => true);
  await working.clock.advance(29_999);
  expect(working.answer()).toBeUndefined();
  await working.clock.advance(1);
  expect(working.answer()).toMatchObject({ fault: "has not answered within 30 s" });
  // Nobody looks any more.
  const looks = working.asked.length;
  await working.clock.advance(60_000);
  expect(working.asked).toHaveLength(looks);

  const hanging = requested((atMs) => atMs < 5_000);
  await hanging.clock.advance(9_000);
  expect(hanging.answer()).toMatchObject({ fault: "has not answered within 5 s" });
  expect(hanging.asked).toEqual([
    ["/v1/long", 0],
    ["/health", 2_000],
    ["/health", 4_000],
    ["/health", 6_000],
  ]);
});

test("nobody looks beside a request that does not take long", async () => {
  const { isLong: _isLong, ...short } = REQUEST;
  const { clock, asked, answer } = requested(() => false, { ...short, deadlineMs: 10_000 });
  await clock.advance(10_000);
  expect(answer()).toMatchObject({ fault: "has not answered within 10 s" });
  expect(asked).toHaveLength(1);
});
