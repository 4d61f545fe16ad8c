import { appendFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { createLogger, loadConfig, type RelayConfig, startRelay } from "@waybill/relay";
import { expect, onTestFinished, test, vi } from "vitest";
import { Intake } from "../../src/intake/intake.ts";
import type { LineCode } from "../../src/log-lines/line-fields.ts";
import { LOG_LINES } from "../../src/log-lines/lines.ts";
import { BASIC, configOf, JSON_TYPE, KEY, send, startWorld, until } from "../lib/world.ts";

const SECRET = "s3cr3t";
const CONTENT = "c0nt3nt";
const TOKEN = `${SECRET}-token`;
const ADMIN = { ...JSON_TYPE, authorization: `Bearer ${TOKEN}` };

/** A vendor whose answers have whatever came, as real ones quote it. */
async function quotingVendor(): Promise<{ readonly url: string; status: number; requests: number }> {
  const server = createServer((request, response) => {
    const parts: string[] = [JSON.stringify(request.headers), request.url ?? ""];
    request.on("data", (chunk: Buffer) => parts.push(String(chunk)));
    request.on("end", () => {
      vendor.requests += 1;
      response.writeHead(vendor.status, { "content-type": "application/json", "x-quoted": SECRET });
      response.end(JSON.stringify({ code: "invalid", message: parts.join(" ") }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { readonly port: number };
  const vendor = { url: `http://127.0.0.1:${port}`, status: 200, requests: 0 };
  return vendor;
}

test("through all that it logs a relay says no key, no event's content and no vendor's answer", async () => {
  const lines: string[] = [];
  const logger = createLogger("debug", { write: (line) => void lines.push(line) });
  const codes = (): ReadonlySet<string> => new Set(lines.map((line) => (JSON.parse(line) as { code: string }).code));
  const logs = (code: LineCode): Promise<void> => until(() => codes().has(code));
  const vendor = await quotingVendor();
  const to = (more: object = {}): object => ({
    vendor: "segment",
    url: vendor.url,
    writeKey: `${SECRET}-out`,
    backoff: { base: "10ms", max: "20ms" },
    batch: { linger: "1ms" },
    ...more,
  });
  const sources = {
    web: { protocol: "segment", writeKeys: [KEY, `${SECRET}-in`] },
    slow: { protocol: "segment", writeKeys: [`${SECRET}-slow`], maxRequestsPerSecond: 1 },
  };
  const config = (destinations: object, more: object = {}): RelayConfig =>
    configOf(first.directory, vendor.url, {
      sources,
      destinations: () => destinations as Record<string, unknown>,
      extra: { admin: { listen: "127.0.0.1:0", token: TOKEN }, ...more },
    });
  const first = await startWorld();
  await first.relay.stop();
  const log = `${first.directory}/data/test/log`;
  for (const name of readdirSync(log)) if (name.endsWith(".log")) appendFileSync(`${log}/${name}`, `torn ${CONTENT}`);
  const hook = { vendor: "http", url: `${vendor.url}/${SECRET}-path?k=${SECRET}`, headers: { "x-key": SECRET } };
  let wanted = (): RelayConfig => config({ crm: to() });
  const relay = await startRelay(config({ crm: to(), hook }), { logger, reloadConfig: async () => wanted() });
  onTestFinished(() => relay.stop());
  const admin = (path: string, body: object = {}): ReturnType<typeof send> =>
    send(relay.adminUrl, "POST", path, body, ADMIN);
  let sent = 0;
  const track = (headers: Readonly<Record<string, string>> = BASIC): ReturnType<typeof send> =>
    send(
      relay.intakeUrl,
      "POST",
      "/v1/track",
      { type: "track", event: CONTENT, userId: CONTENT, messageId: `${CONTENT}-${sent++}` },
      { "x-content": CONTENT, cookie: CONTENT, ...headers },
    );
  const basic = (key: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${key}:`)}` });

  await track();
  await until(() => vendor.requests >= 2);
  vendor.status = 400;
  await track();
  await logs("dead_letters");
  vendor.status = 503;
  await track();
  await logs("lane_waiting");
  vendor.status = 401;
  // Its event may have been set aside meanwhile, for longer.
  await admin("/v1/lanes/test/crm/probe");
  await logs("lane_halted");
  vendor.status = 200;
  await admin("/v1/destinations/test/crm/rotate", { key: `${SECRET}-new`, graceMs: 60_000 });
  await logs("key_rotated");
  await logs("lane_resumed");
  await admin("/v1/lanes/test/crm/pause");
  await logs("lane_paused");
  await track();
  expect((await track(basic(`${SECRET}-unknown`))).status).toBe(401);
  await send(relay.intakeUrl, "POST", `/s/web/v1/track?writeKey=${SECRET}`, { event: CONTENT }, basic(SECRET));
  await logs("keys_refused");
  await Promise.all(Array.from({ length: 3 }, () => track(basic(`${SECRET}-slow`))));
  await logs("clients_limited");
  expect((await admin("/v1/reload")).json).toMatchObject({ ok: true });
  await logs("destination_removed");
  wanted = () => {
    const writeKeys = [`${SECRET}-in`];
    const bad = { a: { protocol: "segment", writeKeys }, b: { protocol: "segment", writeKeys } };
    const text = JSON.stringify({
      environments: { test: { sources: bad, destinations: { crm: to({ wat: SECRET }) } } },
    });
    return loadConfig({ file: "bad", text, env: {} });
  };
  expect((await admin("/v1/reload")).json).toMatchObject({ ok: false });
  await logs("reload_failed");
  const accept = vi.spyOn(Intake.prototype, "accept").mockImplementationOnce((_opened, body) => {
    throw new TypeError(`Cannot read ${String(body)}`);
  });
  onTestFinished(() => accept.mockRestore());
  expect((await track()).status).toBe(500);
  await logs("request_failed");
  await relay.stop();

  const expected: readonly LineCode[] = ["started", "log_recovered", "reloaded", "lane_answers", "stopping", "stopped"];
  for (const code of expected) expect(codes()).toContain(code);
  const all = lines.join("");
  expect(all).not.toContain(SECRET);
  expect(all).not.toContain(CONTENT);
  expect(all).not.toContain(btoa(`${SECRET}-in`).slice(0, 8));
  for (const line of lines) checkFields(JSON.parse(line) as Record<string, unknown>);
});

/** A line has the fields that its page names, and no others. */
function checkFields({ code, level, time: _time, msg: _msg, hint: _hint, ...rest }: Record<string, unknown>): void {
  const { fields, level: wanted } = LOG_LINES[code as LineCode];
  expect(level).toBe(wanted);
  for (const name of Object.keys(rest)) expect([code, fields]).toEqual([code, expect.arrayContaining([name])]);
}
