/**
 * A relay on real sockets with traffic that makes every metric appear: requests that are taken and
 * refused, a destination that delivers, one that refuses events, one that fails, one whose key is
 * refused, a replay and a failed reload.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { loadConfig, type RelayConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { createTestCa, SegmentEmulator, type StartedServer } from "@waybill/testing";

export interface MeasuredRelay {
  /** Where `/metrics` is. */
  readonly url: string;
  /** Its text, once every metric has been there. */
  metrics(): Promise<string>;
  /** Some more requests, so that rates are above 0. */
  traffic(): Promise<void>;
  stop(): Promise<void>;
}

const KEY = "write-key";
const LIMITED_KEY = "limited-key";
const OUTBOUND_KEY = "outbound";
const NAME = "localhost";
const CA = createTestCa();
const BAD = "Bad";
/** What comes last: a replay takes its time, a rate and a look at the disk too. */
const LAST_METRICS = [
  "waybill_replay_dropped_events_by_reason_total{",
  "waybill_lane_time_until_loss_seconds{",
  "waybill_disk_used_bytes{",
  "waybill_disk_free_bytes ",
];
const LOOK_EVERY_MS = 50;
const GIVE_UP_MS = 20_000;
const silent = { level: "info", debug: ignore, info: ignore, warn: ignore, error: ignore };

export async function startMeasuredRelay(): Promise<MeasuredRelay> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-metrics-"));
  const emulator = new SegmentEmulator({ writeKeys: [OUTBOUND_KEY] });
  emulator.refuse(({ event }) => event === BAD);
  const failing = new SegmentEmulator();
  failing.fail({ kind: "status", status: 503 });
  const servers = await Promise.all([emulator.listen(), failing.listen()]);
  const relay = await startRelay(configOf(directory, servers), {
    logger: silent,
    reloadConfig: () => Promise.reject(new Error("the file is not right")),
  });
  const traffic = (): Promise<void> => sendAll(relay);
  await traffic();
  await fetch(`${relay.adminUrl}/v1/reload`, { method: "POST" });
  await fetch(`${relay.adminUrl}/v1/replays/production`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ destination: "warehouse" }),
  });
  const url = `${relay.adminUrl}/metrics`;
  return {
    url,
    metrics: () => whenComplete(url, traffic),
    traffic,
    stop: async () => {
      await relay.stop();
      await Promise.all(servers.map((server) => server.close()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function ignore(): void {
  // Nobody reads this relay's log.
}

function configOf(directory: string, [vendor, failing]: readonly StartedServer[]): RelayConfig {
  const files = { cert: join(directory, "tls.crt"), key: join(directory, "tls.key") };
  const identity = CA.issue(NAME);
  writeFileSync(files.cert, identity.cert);
  writeFileSync(files.key, identity.key);
  const destination = (url: string | undefined, more: object = {}): object => ({
    vendor: "segment",
    url,
    writeKey: OUTBOUND_KEY,
    batch: { linger: "1ms" },
    backoff: { base: "10ms", max: "100ms" },
    ...more,
  });
  const text = JSON.stringify({
    listen: "127.0.0.1:0",
    tls: files,
    dataDirectory: join(directory, "data"),
    admin: { listen: "127.0.0.1:0" },
    shutdown: { deadline: "1s" },
    network: { allowPrivateAddresses: true },
    environments: {
      production: {
        sources: {
          web: { protocol: "segment", writeKeys: [KEY] },
          limited: { protocol: "segment", writeKeys: [LIMITED_KEY], maxRequestsPerSecond: 1, burst: 1 },
        },
        destinations: {
          warehouse: destination(vendor?.url, { maxRequestsPerSecond: 1_000, filter: { types: ["track"] } }),
          failing: destination(failing?.url),
          locked: destination(vendor?.url, { writeKey: "refused" }),
        },
      },
    },
  });
  return loadConfig({ file: "measured", text, env: {} });
}

async function sendAll({ intakeUrl }: RunningRelay): Promise<void> {
  const events = ["Signed Up", BAD, "Ordered"].map((event) => ({ type: "track", userId: "u", event }));
  const batch = [...events, { type: "page", userId: "u" }, "not an event"];
  await post(intakeUrl, { batch });
  await post(intakeUrl, { batch }, { headers: { "x-retry-count": "1" } });
  await post(intakeUrl, { no: "batch" });
  await post(intakeUrl, { batch }, { key: "unknown" });
  for (let times = 0; times < 2; times++) await post(intakeUrl, { batch }, { key: LIMITED_KEY });
}

interface PostOptions {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function post(origin: string, body: object, { key = KEY, headers = {} }: PostOptions = {}): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(body));
  const { port } = new URL(origin);
  const authorization = `Basic ${btoa(`${key}:`)}`;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        servername: NAME,
        ca: CA.cert,
        method: "POST",
        path: "/v1/batch",
        headers: { ...headers, authorization, "content-length": bytes.length },
      },
      (incoming) => incoming.resume().on("end", resolve),
    );
    outgoing.on("error", reject).end(bytes);
  });
}

async function whenComplete(url: string, traffic: () => Promise<void>): Promise<string> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (;;) {
    const text = await (await fetch(url)).text();
    const missing = LAST_METRICS.filter((name) => !text.includes(`\n${name}`));
    if (missing.length === 0) return text;
    if (performance.now() > deadline) throw new Error(`${missing.join(", ")} did not appear`);
    await traffic();
    await pause(LOOK_EVERY_MS);
  }
}
