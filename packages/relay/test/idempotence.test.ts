import { startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, send, startWorld } from "./lib/world.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
const track = (messageId: string): object => ({ type: "track", event: "E", userId: "u", messageId });

test("a 2xx carries a receipt; a repeat gets the same one and is not stored again, also after a restart", async () => {
  const { relay, config, post, twin, arrived } = await startWorld();
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
  expect(twin.duplicates).toBe(0);
});

test("a request with an Idempotency-Key is known again although its events have no ids", async () => {
  const { post, relay, arrived, twin } = await startWorld();
  const batch = { batch: [{ type: "page", userId: "u" }, track("own")] };
  for (const header of ["idempotency-key", "x-idempotency-key"]) {
    const headers = { ...BASIC, [header]: "order-17" };
    expect((await post("/v1/batch", batch, headers)).headers["waybill-receipt"]).toBe("test/0+2");
  }
  expect(relay.accounts().sources[0]).toMatchObject({ accepted: 2, duplicates: 2 });
  // Another key is another event.
  await post("/v1/page", { userId: "u" }, { ...BASIC, "idempotency-key": "order-18" });
  await arrived(3);
  expect(new Set(twin.events.map(({ messageId }) => messageId)).size).toBe(3);
});
