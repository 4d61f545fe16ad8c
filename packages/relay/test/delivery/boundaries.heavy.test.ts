/**
 * What a vendor or a configuration does harms its own lane only; what a caller gets of a vendor's
 * answer is safe; a defect is reported.
 */

import { readdirSync, readlinkSync } from "node:fs";
import net, { type Socket } from "node:net";
import type { DiskRuntime, HttpRequest, HttpResponse, Transport } from "@waybill/core";
import { AttemptJournal } from "@waybill/log";
import { nodeDisk } from "@waybill/node";
import { startRelay } from "@waybill/relay";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SimDisk, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test, vi } from "vitest";
import { configOf, KEY, send, startWorld, until } from "../lib/world.ts";

const TRACK = '{"type":"track","event":"Order Completed","userId":"u","messageId":"m"}';

const TURNS = 40;

interface World {
  /** Ends when nothing happens any more. */
  quiet(): Promise<void>;
  readonly clock: VirtualClock;
  readonly environment: Environment;
  readonly requests: HttpRequest[];
  readonly modes: string[];
  append(metadata: string, ...texts: string[]): Promise<void>;
  reconfigure(destinations: object): Promise<void>;
}

interface Given {
  readonly vendor: string;
  /** What the configuration refuses: the transport has to refuse it as well. */
  readonly wrong?: object;
}

const withDefaults = (destinations: object): never =>
  Object.fromEntries(
    Object.entries(destinations).map(([name, { wrong: _wrong, ...more }]: [string, Given]) => [
      name,
      {
        ...(more.vendor === "file" ? {} : { url: `http://${name}.test` }),
        ...(more.vendor === "file" || more.vendor === "http" ? {} : { writeKey: "k" }),
        batch: { linger: 10 },
        backoff: { base: 10, max: 100 },
        ...more,
      },
    ]),
  ) as never;

async function environmentWith(
  destinations: object,
  answer: (request: HttpRequest) => HttpResponse = () => ({ status: 200, headers: {}, body: "" }),
  more: { readonly disk?: DiskRuntime["disk"]; readonly directory?: string; readonly onAttempt?: () => void } = {},
): Promise<World> {
  const clock = new VirtualClock();
  const requests: HttpRequest[] = [];
  const modes: string[] = [];
  const transport: Transport = async (request) => {
    requests.push(request);
    return answer(request);
  };
  const resolved = (given: object): ReturnType<typeof resolveEnvironment> => {
    const config = resolveEnvironment("e", { sources: {}, destinations: withDefaults(given) });
    const wrongOf = (name: string): object => new Map<string, Given>(Object.entries(given)).get(name)?.wrong ?? {};
    return {
      ...config,
      destinations: config.destinations.map((one) => ({ ...one, ...wrongOf(one.name) }) as typeof one),
    };
  };
  const environment = await Environment.open({
    config: resolved(destinations),
    directory: more.directory ?? "/data",
    runtime: { clock, random: new SeededRandom(1), disk: more.disk ?? new SimDisk(), transport },
    dedupe: { windowMs: 86_400_000, maxIds: 1_000 },
    observer: {
      attempted: () => more.onAttempt?.(),
      modeChanged: ({ destination, mode, reason }) => modes.push(`${destination} ${mode} ${reason ?? ""}`.trim()),
      stateNotWritten: () => undefined,
    },
  });
  environment.start();
  /** Work that waits for no clock takes turns of its own. */
  const quiet = async (): Promise<void> => {
    for (let turn = 0; turn < TURNS; turn++) await clock.advance(50);
  };
  return {
    clock,
    environment,
    requests,
    modes,
    quiet,
    async append(metadata, ...texts) {
      const bodies = texts.map((text) => Buffer.from(text));
      let end = -1;
      const ends = Uint32Array.from(bodies.map(({ length }) => (end += length + 1)));
      await environment.log.append({
        source: "s",
        receivedAtMs: clock.now(),
        metadata,
        body: [Buffer.from(texts.join(","))],
        ends,
      });
      await quiet();
    },
    async reconfigure(given) {
      await environment.reconfigure(resolved(given), 1_000);
      await quiet();
    },
  };
}

const lane = ({ environment, clock }: World, name: string): ReturnType<Environment["lanes"]>[number] =>
  environment.lanes(clock.now()).find(({ destination }) => destination === name) as never;

test("Trophy: an id that is not a header is a dead letter with the reason, and the lane goes on", async () => {
  const world = await environmentWith({ game: { vendor: "trophy" } });
  const ids = ["fine", "a\\nb", "€", "x".repeat(5_000), "also fine"];
  await world.append("", ...ids.map((id) => TRACK.replace('"m"', `"${id}"`)));
  expect(world.requests.map(({ headers }) => headers["idempotency-key"])).toEqual(["fine", "also fine"]);
  expect(lane(world, "game")).toMatchObject({
    mode: "idle",
    account: { delivered: 2, rejected: 3, pending: 0, balanced: true },
  });
  const reasons: string[] = [];
  for await (const deadLetter of world.environment.destination("game")?.deadLetters.list() ?? [])
    reasons.push(deadLetter.reason);
  expect(reasons).toEqual(new Array(3).fill(expect.stringContaining("idempotency-key")));
});

test.each<[string, object, object, RegExp]>([
  [
    "a key that ends in a newline",
    { vendor: "letter", wrong: { writeKey: "secret\n" } },
    { vendor: "letter", writeKey: "good" },
    /header authorization/,
  ],
  [
    "a key beyond ASCII",
    { vendor: "trophy", wrong: { writeKey: "sécret€" } },
    { vendor: "trophy" },
    /header x-api-key/,
  ],
  [
    "a tenant that is not a header",
    { vendor: "trophy", wrong: { tenantId: "secret\r\n" } },
    { vendor: "trophy" },
    /header tenant-id/,
  ],
  [
    "a bad value of its own",
    { vendor: "http", wrong: { headers: { "x-own": "secret\u0000" } } },
    { vendor: "http" },
    /header x-own/,
  ],
  [
    "a bad name of its own",
    { vendor: "http", wrong: { headers: { "x own": "secret" } } },
    { vendor: "http" },
    /name of a header/,
  ],
  [
    "a header that frames",
    { vendor: "http", wrong: { headers: { "Content-Length": "3" } } },
    { vendor: "http" },
    /content-length/,
  ],
  ["a URL that is not one", { vendor: "http", wrong: { url: "http://[secret" } }, { vendor: "http" }, /URL/],
])(
  "%s halts the lane, names the header and not its value, keeps the events; corrected, they go",
  async (_what, bad, good, named) => {
    const world = await environmentWith({ bad, beside: { vendor: "letter" } });
    await world.append("", TRACK);
    expect(lane(world, "bad")).toMatchObject({ mode: "halted", account: { pending: 1 } });
    expect(lane(world, "bad").reason).toMatch(named);
    expect(lane(world, "bad").reason).not.toContain("secret");
    expect(lane(world, "beside").account.delivered).toBe(1);
    await world.reconfigure({ bad: good, beside: { vendor: "letter" } });
    expect(lane(world, "bad")).toMatchObject({ mode: "idle", account: { delivered: 1, pending: 0 } });
  },
);

test("a context beside a batch is redacted for its own vendor and for every other, and stays one batch", async () => {
  const redact = ["context.ip"];
  const world = await environmentWith({
    segment: { vendor: "segment", redact },
    fluxly: { vendor: "getfluxly", redact },
    launch: { vendor: "launchdarkly", redact },
  });
  const shared = '{"context":{"ip":"10.1.2.3","app":"x"}}';
  await world.append(shared, TRACK, TRACK.replace('"m"', '"n"'));
  const bodyOf = (request: HttpRequest): string =>
    request.body.map((chunk) => Buffer.from(chunk as string).toString()).join("");
  expect(world.requests.map(({ url }) => new URL(url).hostname).toSorted()).toEqual([
    "fluxly.test",
    "launch.test",
    "segment.test",
  ]);
  expect(world.requests.map(bodyOf).join("")).not.toContain("10.1.2.3");
  expect(bodyOf(world.requests.find(({ url }) => url.includes("segment")) as HttpRequest)).toContain(
    '"context":{"app":"x"}}',
  );
  expect(bodyOf(world.requests.find(({ url }) => url.includes("fluxly")) as HttpRequest)).toContain('"app":"x"');
});

test("Segment: what is too long beside the events for any request is refused at once, not carried in halves", async () => {
  for (const more of [{}, { redact: ["context.ip"] }]) {
    const world = await environmentWith({ segment: { vendor: "segment", ...more } });
    const shared = JSON.stringify({ context: { x: "y".repeat(600_000) } });
    await world.append(shared, TRACK, TRACK.replace('"m"', '"n"'));
    await world.append("", TRACK);
    expect(world.requests).toHaveLength(1);
    expect(lane(world, "segment").account).toMatchObject({ rejected: 2, delivered: 1, balanced: true });
  }
});

test("a defect stops one lane and is reported with its reason; the other delivers, and resume goes on without a second request", async () => {
  let bad = true;
  const world = await environmentWith({ one: { vendor: "letter" } }, undefined, {
    onAttempt: () => {
      if (bad) throw new TypeError("a defect");
    },
  });
  await world.append("", TRACK);
  expect(lane(world, "one")).toMatchObject({
    mode: "failed",
    reason: "a defect",
    account: { delivered: 1, pending: 0 },
  });
  expect(world.modes).toContain("one failed a defect");
  await world.append("", TRACK);
  expect(lane(world, "one").account.pending).toBe(1);
  bad = false;
  world.environment.destination("one")?.resume();
  await world.quiet();
  expect(lane(world, "one")).toMatchObject({ mode: "idle", account: { delivered: 2, pending: 0 } });
  expect(world.requests).toHaveLength(2);
  await world.environment.close(1_000);
});

test("a replay by type passes over events that are null; one with a defect is shown and reported as failed", async () => {
  const world = await environmentWith({ one: { vendor: "letter" } });
  await world.append("", TRACK, "null", "[1]", TRACK);
  const choice = { log: { from: 0, to: 4, type: "track" } };
  expect(await world.environment.replays.count("one", choice)).toBe(2);
  const note = vi.spyOn(AttemptJournal.prototype, "note").mockImplementation(() => {
    throw new TypeError("a defect");
  });
  onTestFinished(() => note.mockRestore());
  const { id } = await world.environment.replays.begin("one", choice, undefined);
  await world.quiet();
  expect(world.environment.replays.views()).toMatchObject([
    { state: "failed", reason: "a defect", account: { delivered: 2 } },
  ]);
  expect(world.modes).toContain(`one/replay-${id} failed a defect`);
  await world.environment.close(1_000);
});

test("old events under many tags are summarised without remembering each of them for ever", async () => {
  const world = await environmentWith({ launch: { vendor: "launchdarkly" } });
  const feature = '{"kind":"feature","key":"f","user":{"key":"u"},"creationDate":1,"version":1,"variation":1}';
  for (let index = 0; index < 110; index++) await world.append(`launchdarkly server 1 tag-${index}`, feature);
  expect(lane(world, "launch").account.delivered).toBe(110);
  const { length } = world.requests;
  await world.append("launchdarkly server 1 tag-109", feature);
  await world.append("launchdarkly server 1 tag-0", feature);
  const [known, forgotten] = world.requests.slice(length).map(({ body }) => body.join(""));
  expect(known).not.toContain('"index"');
  expect(forgotten).toContain('"index"');
});

const openFiles = (directory: string): number =>
  readdirSync("/proc/self/fd").filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(directory);
    } catch {
      return false;
    }
  }).length;

test("reloads of a file destination leave one descriptor, and its end none", async () => {
  const { directory, relay } = await startWorld({
    destinations: () => ({ none: { vendor: "http", url: "http://127.0.0.1:9" } }),
  });
  await relay.stop();
  const settings = (rotateBytes: number): object => ({
    vendor: "file",
    path: `${directory}/out/events.ndjson`,
    rotateBytes,
  });
  const world = await environmentWith({ file: settings(1_000_000) }, undefined, {
    disk: nodeDisk,
    directory: `${directory}/e`,
  });
  const written = async (count: number): Promise<void> => {
    await until(async () => {
      await world.clock.advance(100);
      return lane(world, "file").account.delivered === count;
    });
  };
  for (let reload = 0; reload < 10; reload++) {
    await world.append("", TRACK);
    await written(reload + 1);
    await world.reconfigure({ file: settings(1_000_001 + reload) });
  }
  expect(openFiles(`${directory}/out`)).toBe(1);
  await world.environment.close(1_000);
  expect(openFiles(`${directory}/out`)).toBe(0);
});

/** A vendor of bare bytes. */
async function bytesVendor(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => answer(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

const raw = (status: string, body: string, ...headers: string[]): string =>
  [`HTTP/1.1 ${status} X`, `content-length: ${Buffer.byteLength(body)}`, ...headers, "", body].join("\r\n");

const TROPHY = { "x-api-key": "in.secret" };
const METRIC = '{"user":{"id":"u"},"value":1}';
const PAGE = "<script>alert(1)</script>";

test.each<[string, string, object]>([
  ["a status of 000", raw("000", "{}"), { status: 503 }],
  ["a status of 999", raw("999", "{}"), { status: 503 }],
  ["garbage", "garbage\r\n\r\n", { status: 503 }],
  [
    "a page",
    raw("200", PAGE, "content-type: text/html"),
    { status: 200, text: PAGE, type: "text/plain; charset=utf-8" },
  ],
  [
    "a type that is not a header",
    raw("200", "{}", "content-type: a/b\u00ff; x=\u0080"),
    { status: 200, type: "text/plain; charset=utf-8" },
  ],
  [
    "JSON",
    raw("201", '{"a":1}', "content-type: application/problem+json; charset=utf-8"),
    { status: 201, text: '{"a":1}', type: "application/problem+json; charset=utf-8" },
  ],
  [
    "headers of its own",
    raw("200", "{}", "set-cookie: a=b", "location: http://x", "__proto__: x"),
    { status: 200, "set-cookie": undefined },
  ],
  ["a refusal", raw("422", '{"error":"x"}', "content-type: text/plain"), { status: 422, type: "text/plain" }],
  ["an answer without end", raw("200", "x".repeat(1_000_000)), { stored: true }],
])(
  "an exchange and a passthrough request to a vendor that answers with %s: the caller gets what is safe, and the relay serves on",
  async (_what, answer, wanted) => {
    const url = await bytesVendor((socket) => socket.write(Buffer.from(answer, "latin1")));
    const { relay } = await startWorld({
      sources: { game: { protocol: "trophy", writeKeys: ["in.secret"] } },
      destinations: () => ({
        game: {
          vendor: "trophy",
          url,
          writeKey: "out",
          backoff: { base: "10ms", max: "20ms" },
          batch: { linger: "1ms" },
        },
      }),
      extra: { exchange: { deadline: "500ms" } },
    });
    for (const [method, path, body] of [
      ["POST", "/v1/metrics/words/event", METRIC],
      ["GET", "/v1/users/u", ""],
    ] as const) {
      const answered = await send(relay.intakeUrl, method, path, body, TROPHY);
      if ("stored" in wanted) {
        if (method === "POST") expect(answered).toMatchObject({ status: 200, json: { stored: true } });
        else expect(answered).toMatchObject({ status: 502, json: { error: expect.stringContaining("too long") } });
        continue;
      }
      const { headers, status, text } = answered;
      expect({ status, text, type: headers["content-type"], "set-cookie": headers["set-cookie"] }).toMatchObject(
        wanted,
      );
      expect(headers["location"]).toBeUndefined();
    }
    expect(relay.accounts().lanes[0]?.mode).not.toBe("failed");
  },
);

test("a passthrough request that the vendor redirects does not count as answered", async () => {
  const url = await bytesVendor((socket) => socket.write(raw("302", "", "location: http://x")));
  const { relay } = await startWorld({
    sources: { game: { protocol: "trophy", writeKeys: ["in.secret"] } },
    destinations: () => ({ game: { vendor: "trophy", url, writeKey: "out" } }),
  });
  expect((await send(relay.intakeUrl, "GET", "/v1/users/u", "", TROPHY)).status).toBe(502);
});

test("a passthrough request reaches no other path of the vendor's, however it is spelled", async () => {
  const seen: string[] = [];
  const world = await environmentWith({ game: { vendor: "trophy", url: "http://game.test/v1" } }, ({ url }) => {
    seen.push(new URL(url).pathname);
    return { status: 200, headers: {}, body: "{}" };
  });
  const ask = (path: string): Promise<HttpResponse | undefined> =>
    world.environment.passThrough(
      { source: "web", vendor: "trophy" },
      { method: "GET", path, body: new Uint8Array(), type: undefined },
      1_000,
    );
  for (const path of [
    "/users/..",
    "/users/../../admin",
    "/users/%2e%2E/x",
    "/users/.%2e",
    "/users/./x",
    "/users\\..\\x",
    "/users/a\tb",
    "/users/a#b",
    "/users/é",
  ])
    expect(await ask(path), path).toMatchObject({ status: 404 });
  expect(seen).toEqual([]);
  expect(await ask("/users/a..b?x=/../y")).toMatchObject({ status: 200 });
  expect(seen).toEqual(["/v1/users/a..b"]);
});

test("a Trophy event that cannot be sent is answered at once, with the reason", async () => {
  const url = await bytesVendor((socket) => socket.write(raw("200", "{}")));
  const { relay } = await startWorld({
    sources: { game: { protocol: "trophy", writeKeys: ["in.secret"] } },
    destinations: () => ({ game: { vendor: "trophy", url, writeKey: "out", batch: { linger: "1ms" } } }),
    extra: { exchange: { deadline: "10s" } },
  });
  const headers = { ...TROPHY, "idempotency-key": "x".repeat(5_000) };
  const answered = await send(relay.intakeUrl, "POST", "/v1/metrics/words/event", METRIC, headers);
  expect(answered).toMatchObject({ status: 422, json: { error: expect.stringContaining("idempotency-key") } });
  await until(() => relay.accounts().lanes[0]?.account.rejected === 1);
});

test("the relay logs a failed lane as an error, with its name and never what the defect quotes, and serves on", async () => {
  const errors: unknown[][] = [];
  const ignore = (): void => undefined;
  const logger = { info: ignore, warn: ignore, debug: ignore, error: (...said: unknown[]) => errors.push(said) };
  const first = await startWorld();
  await first.relay.stop();
  const relay = await startRelay(configOf(first.directory, first.server.url), { logger: logger as never });
  onTestFinished(() => relay.stop());
  const note = vi.spyOn(AttemptJournal.prototype, "note").mockImplementationOnce(() => {
    throw new TypeError("a defect");
  });
  onTestFinished(() => note.mockRestore());
  const headers = { authorization: `Basic ${btoa(`${KEY}:`)}` };
  expect((await send(relay.intakeUrl, "POST", "/v1/track", TRACK, headers)).status).toBe(200);
  await until(() => relay.accounts().lanes[0]?.mode === "failed");
  expect(errors).toContainEqual([
    { code: "lane_failed", environment: "test", destination: "emulator", hint: expect.stringContaining("resume") },
    expect.stringContaining("defect"),
  ]);
  expect((await send(relay.intakeUrl, "POST", "/v1/track", TRACK.replace('"m"', '"n"'), headers)).status).toBe(200);
  const metrics = await send(relay.adminUrl, "GET", "/metrics", "");
  expect(metrics.text).toMatch(/waybill_lane_mode\{[^}]*mode="failed"[^}]*\} 1/);
});
