import type { ServerRequest, ServerResponse } from "@waybill/testing";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { createDevVendors, VENDORS, type VendorName } from "../src/dev/vendors.ts";
import { start } from "./lib/command.ts";

const MINUTE_MS = 60_000;
const STEP_MS = 250;

function batchOf(number: number): ServerRequest {
  const event = (index: number): object => ({
    type: "track",
    messageId: `m-${number}-${index}`,
    userId: `user-${(number * 3 + index) % 50}`,
    event: index === 0 ? "Product Shared" : "Order Completed",
    properties: { total: 5 + ((number + index) % 40) },
  });
  return {
    method: "POST",
    path: "/v1/batch",
    headers: {},
    body: new TextEncoder().encode(JSON.stringify({ batch: [0, 1, 2].map(event) })),
  };
}

/** What each vendor answers within a minute. */
async function minute(seed: number): Promise<Readonly<Record<VendorName, readonly ServerResponse[]>>> {
  const clock = new VirtualClock();
  const { handlers } = createDevVendors({ clock, seed });
  const answers: Record<VendorName, ServerResponse[]> = { analytics: [], warehouse: [], marketing: [] };
  for (let at = 0; at < MINUTE_MS; at += STEP_MS) {
    for (const name of VENDORS) answers[name].push(await handlers[name](batchOf(at / STEP_MS)));
    await clock.advance(STEP_MS);
  }
  return answers;
}

test("within a minute the vendors of dev fail, wait, slow down and refuse, each for its own reasons", async () => {
  const { analytics, warehouse, marketing } = await minute(1);
  const statuses = (answers: readonly ServerResponse[]): readonly number[] =>
    [...new Set(answers.map(({ status }) => status))].toSorted((a, b) => a - b);
  expect(statuses(analytics)).toEqual([200, 500]);
  expect(statuses(warehouse)).toEqual([200, 503]);
  expect(statuses(marketing)).toEqual([200, 429]);
  const delays = analytics.map(({ delayMs = 0 }) => delayMs);
  expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(80);
  expect(warehouse.filter(({ status }) => status === 503)).toHaveLength((3 * 6_000) / STEP_MS);
  const reasons = marketing.flatMap(({ body }) => {
    const { rejected = [] } = JSON.parse(body) as { rejected?: readonly { code: string; message: string }[] };
    return rejected.map(({ code }) => code);
  });
  expect([...new Set(reasons)].sort()).toEqual(["unknown_event", "user_suppressed", "value_out_of_range"]);
});

test("what the vendors of dev do follows from the seed", async () => {
  const all = await Promise.all([minute(7), minute(7), minute(8)]);
  const [first, again, other] = all.map((answers) => JSON.stringify(answers));
  expect(again).toBe(first);
  expect(other).not.toBe(first);
});

test("dev --json begins with the page's address, and every line is JSON", async () => {
  const dev = start(["dev", "--port", "0", "--admin-port", "0", "--rate", "100", "--for", "6", "--json"]);
  const [, page = ""] = await dev.says(/^\{"type":"started","page":"([^"]+)"/);
  const answer = await fetch(page);
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
  const { code, out, err } = await dev.ended;
  expect([code, err]).toEqual([0, ""]);
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines[0]).toMatchObject({ writeKeys: { app: "dev" } });
  const last = lines.at(-1) as { type: string; sources: { source: string; accepted: number }[]; lanes: unknown[] };
  expect([last.type, last.lanes.length]).toEqual(["ended", 3]);
  for (const { source, accepted } of last.sources) expect({ source, has: accepted > 0 }).toEqual({ source, has: true });
});

test("dev prints the page's address first, and no JSON of its logger", async () => {
  const dev = start(["dev", "--port", "0", "--admin-port", "0", "--for", "14"]);
  await dev.says(/^Open http:\/\/127\.0\.0\.1:\d+\/ in a browser/);
  const { out } = await dev.ended;
  expect(out).not.toMatch(/^\{/m);
  expect(out).toMatch(/^note: warehouse: .*503/m);
  expect(out.match(/^note: warehouse: .*503/gm)).toHaveLength(1);
});
