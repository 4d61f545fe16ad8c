import { uuidV7TimeMs } from "@waybill/core";
import { startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, send, startWorld } from "../lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const track = (messageId: string): object => ({ type: "track", event: "E", userId: "u", messageId });

test("a 2xx carries a receipt; a duplicate gets the same one and is not stored again, also after a restart", async () => {
  const { relay, config, post, emulator, arrived } = await startWorld();
  await post("/v1/track", track("first"));
  const batch = { batch: [track("a"), track("b")] };
  const answer = await post("/v1/batch", batch);
  expect(answer.headers["waybill-receipt"]).toBe("test/1+2");
  const again = await post("/v1/batch", batch);
  expect(again.headers["waybill-receipt"]).toBe("test/1+2");
  expect(again.text).toBe(answer.text);
  await arrived(3);
  await relay.stop();
  const second = await startRelay(config, { logger: silent as never });
  onTestFinished(() => second.stop());
  const late = await send(second.intakeUrl, "POST", "/v1/batch", batch);
  expect(late).toMatchObject({ status: 200, text: answer.text, headers: { "waybill-receipt": "test/1+2" } });
  expect(second.accounts().sources[0]).toMatchObject({ accepted: 0, duplicates: 2 });
  expect(second.accounts().lanes[0]?.account).toMatchObject({ accepted: 3, balanced: true });
  expect(emulator.duplicates).toBe(0);
});

test("a request with an Idempotency-Key is known again although its events have no ids", async () => {
  const { post, relay, arrived, emulator } = await startWorld();
  const batch = { batch: [{ type: "page", userId: "u" }, track("own")] };
  for (const header of ["idempotency-key", "x-idempotency-key"]) {
    const headers = { ...BASIC, [header]: "order-17" };
    expect((await post("/v1/batch", batch, headers)).headers["waybill-receipt"]).toBe("test/0+2");
  }
  expect(relay.accounts().sources[0]).toMatchObject({ accepted: 2, duplicates: 2 });
  // Another key is another event.
  await post("/v1/page", { userId: "u" }, { ...BASIC, "idempotency-key": "order-18" });
  await arrived(3);
  expect(new Set(emulator.events.map(({ messageId }) => messageId)).size).toBe(3);
});

test("an id that the relay makes has the time at which its event came", async () => {
  const { post, arrived, emulator } = await startWorld();
  const fromMs = Date.now();
  await post("/v1/batch", {
    batch: [
      { type: "page", userId: "u" },
      { type: "page", userId: "v" },
    ],
  });
  await arrived(2);
  for (const { messageId } of emulator.events) {
    const madeAtMs = uuidV7TimeMs(messageId as string);
    expect(madeAtMs).toBeGreaterThanOrEqual(fromMs);
    expect(madeAtMs).toBeLessThanOrEqual(Date.now());
  }
});

test("the receipt of a batch that came in part before names its own events, where each of them is, in their order", async () => {
  const { post, relay, config } = await startWorld();
  const receipt = async (...ids: readonly string[]): Promise<unknown> =>
    (await post("/v1/batch", { batch: ids.map((id) => (id === "" ? { type: "page", userId: "u" } : track(id))) }))
      .headers["waybill-receipt"];
  expect(await receipt("a", "b", "c")).toBe("test/0+3");
  expect(await receipt("x", "y")).toBe("test/3+2");
  expect(await receipt("b", "c", "new", "x")).toBe("test/1+2,5+1,3+1");
  expect(await receipt("new2", "new3", "a")).toBe("test/6+2,0+1");
  // All of them came before, in two requests; a new event without an id is between.
  expect(await receipt("y", "", "a", "b", "c")).toBe("test/4+1,8+1,0+3");
  expect(await receipt("c", "y")).toBe("test/2+1,4+1");
  expect(await receipt("q", "q")).toBe("test/9+1,9+1");
  await relay.stop();
  const again = await startRelay(config, { logger: silent as never });
  onTestFinished(() => again.stop());
  const late = await send(again.intakeUrl, "POST", "/v1/batch", { batch: [track("b"), track("late"), track("x")] });
  expect(late.headers["waybill-receipt"]).toBe("test/1+1,10+1,3+1");
});

test("a receipt stays short however scattered its events are, and says how many it leaves out", async () => {
  const { post } = await startWorld();
  const ids = Array.from({ length: 200 }, (_, index) => `s-${index}`);
  await post("/v1/batch", { batch: ids.map(track) });
  const scattered = ids.filter((_, index) => index % 2 === 0).map(track);
  const receipt = String((await post("/v1/batch", { batch: scattered })).headers["waybill-receipt"]);
  expect(receipt).toMatch(/^test\/0\+1,2\+1,4\+1,.*,126\+1;more=36$/);
  expect(receipt.length).toBeLessThan(1_000);
});

test("duplicates of other vendors' protocols get the receipt of the first copies too", async () => {
  const { relay } = await startWorld({
    sources: {
      mail: { protocol: "letter", writeKeys: ["lt"] },
      flags: { protocol: "launchdarkly", writeKeys: ["sdk"] },
    },
  });
  const postToMail = async (...ids: readonly string[]): Promise<unknown> => {
    const batch = ids.map((messageId) => ({ type: "track", userId: "u", event: "E", messageId }));
    const headers = { authorization: "Bearer lt" };
    return (await send(relay.intakeUrl, "POST", "/v1/batch", { batch }, headers)).headers["waybill-receipt"];
  };
  expect(await postToMail("a", "b")).toBe("test/0+2");
  expect(await postToMail("a", "b")).toBe("test/0+2");
  expect(await postToMail("c", "b")).toBe("test/2+1,1+1");
  const flags = async (id: string): Promise<unknown> => {
    const headers = { authorization: "sdk", "x-launchdarkly-payload-id": id };
    return (await send(relay.intakeUrl, "POST", "/bulk", [{}, {}], headers)).headers["waybill-receipt"];
  };
  expect([await flags("p"), await flags("q"), await flags("p")]).toEqual(["test/3+2", "test/5+2", "test/3+2"]);
  const long = "p".repeat(10_000);
  expect([await flags(`${long}1`), await flags(`${long}2`), await flags(`${long}1`)]).toEqual([
    "test/7+2",
    "test/9+2",
    "test/7+2",
  ]);
  const odd = `${"\u{1f41d}".repeat(1_000)}b`;
  expect([await postToMail(odd, "é"), await postToMail("é", odd)]).toEqual(["test/11+2", "test/12+1,11+1"]);
});
