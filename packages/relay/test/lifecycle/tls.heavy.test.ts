/** TLS of both ports: what is spoken, what is refused, how a certificate is renewed. */
import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { connect } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { defer } from "@waybill/node";
import type { ConfigError } from "@waybill/relay";
import { checkConfigOffline, type RelayConfig } from "@waybill/relay";
import { createTestCa, VirtualClock } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import type { TlsFiles } from "../../src/tls/certificate.ts";
import { TlsEnd } from "../../src/tls/tls-end.ts";
import { exchange, RawConnection, rawRequest } from "../lib/raw.ts";
import { CA, dialTls, filesOf, NAME, unwritten } from "../lib/tls.ts";
import {
  BASIC,
  configOf,
  JSON_TYPE,
  type RelayWorld,
  send,
  startWorld,
  until,
  type WorldOptions,
} from "../lib/world.ts";

interface Line {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

type World = RelayWorld & { readonly files: TlsFiles; readonly lines: readonly Line[]; configNow(): RelayConfig };

async function startTls(extra: Readonly<Record<string, unknown>> = {}): Promise<World> {
  const files = filesOf();
  const lines: Line[] = [];
  const note =
    (level: string) =>
    (fields: Record<string, unknown>, text: string): void =>
      void lines.push({ level, fields, text });
  const logger = { info: note("info"), warn: note("warn"), error: note("error"), debug: note("debug") };
  const options: WorldOptions = {
    extra: { tls: files, admin: { listen: "127.0.0.1:0", tls: files }, ...extra },
    logger: logger as never,
  };
  const world = await startWorld(options);
  return { ...world, files, lines, configNow: () => configOf(world.directory, world.server.url, options) };
}

const BATCH = { batch: [{ type: "track", userId: "u", event: "E" }] };

async function secured(socket: TLSSocket): Promise<TLSSocket> {
  onTestFinished(() => void socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

/** The certificate that a new connection gets. */
async function shownAt(url: string): Promise<PeerCertificate> {
  const socket = await secured(dialTls(url, { rejectUnauthorized: false }));
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

/** How a connection ends on which these bytes are sent first. */
async function endOf(url: string, bytes: string | Buffer): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (more: string) => (text += more));
  socket.on("error", () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => socket.on("close", resolve));
  return text;
}

const refusal = async (socket: TLSSocket): Promise<string | undefined> => {
  onTestFinished(() => void socket.destroy());
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  return error.code;
};

test("both ports speak TLS, and the summary names them so", async () => {
  const { relay, post, arrived } = await startTls();
  expect(relay.intakeUrl).toMatch(/^https:/);
  expect(relay.adminUrl).toMatch(/^https:/);
  expect(relay.summary).toContain(`events on ${relay.intakeUrl}, admin on ${relay.adminUrl}`);
  expect((await post("/v1/batch", BATCH)).status).toBe(200);
  await arrived(1);
  expect((await send(relay.adminUrl, "GET", "/v1/accounts", "", {})).status).toBe(200);
});

test("a port alone may speak TLS; the page's cookie is Secure there", async () => {
  const files = filesOf();
  const token = "a-token-of-ours";
  const { relay } = await startWorld({ extra: { admin: { listen: "127.0.0.1:0", tls: files, token } } });
  expect([relay.intakeUrl, relay.adminUrl].map((url) => url.split(":")[0])).toEqual(["http", "https"]);
  const signedIn = await send(relay.adminUrl, "POST", "/v1/session", { token }, JSON_TYPE);
  expect(signedIn.headers["set-cookie"]?.[0]).toMatch(/; Secure$/);
});

test("versions before 1.2 are refused, and so is another handshake on a connection", async () => {
  const { relay } = await startTls();
  const old = dialTls(relay.intakeUrl, { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" });
  expect(await refusal(old)).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const socket = await secured(dialTls(relay.intakeUrl, { maxVersion }));
    expect(socket.getProtocol()).toBe(maxVersion);
  }
  const again = await secured(dialTls(relay.intakeUrl, { maxVersion: "TLSv1.2" }));
  const refused = refusal(again);
  again.renegotiate({}, () => undefined);
  expect(await refused).toBe("ERR_SSL_NO_RENEGOTIATION");
});

test.each(["intakeUrl", "adminUrl"] as const)("plain HTTP at the %s is answered that this is TLS", async (url) => {
  const { relay } = await startTls();
  const text = await endOf(relay[url], rawRequest("POST /v1/batch HTTP/1.1", {}, "x".repeat(100_000)));
  expect(text).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
  expect(text).toContain('"code":"tls_required"');
});

test("what is not a handshake is closed at once, and counted; others are served on", async () => {
  const { relay, post } = await startTls();
  const hello = Buffer.from([0x16, 3, 1, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  for (const bytes of [Buffer.from([0, 1, 2, 3]), "\r\n", "x", Buffer.alloc(70_000, 0xff), hello])
    await endOf(relay.intakeUrl, bytes);
  expect((await post("/v1/batch", BATCH)).status).toBe(200);
  const { text } = await send(relay.adminUrl, "GET", "/metrics", "", {});
  expect(text).toContain('waybill_tls_failed_handshakes_total{port="intake"} 5');
  expect(text).toMatch(/waybill_tls_certificate_not_after_timestamp_seconds\{port="admin"\} 4\d{9}/);
});

test("a handshake that never ends is closed within the time of a head, wherever it stops", async () => {
  const { relay } = await startTls({ limits: { headersTimeout: "1s", requestTimeout: "1s" } });
  const hello = await helloOf(relay.intakeUrl);
  const stops = ["", hello.subarray(0, 1), hello.subarray(0, 100), hello];
  for (const text of await Promise.all(stops.map((bytes) => endOf(relay.intakeUrl, bytes))))
    expect(text).not.toContain("HTTP/1.1");
  // After it, the head has as long as without TLS.
  const silentOne = await RawConnection.open(relay.intakeUrl);
  const dripping = await RawConnection.open(relay.intakeUrl);
  dripping.write("POST /v1/batch HT");
  await silentOne.closed();
  expect((await dripping.answered())[0]?.status).toBe(408);
});

/** What a client sends first. */
async function helloOf(url: string): Promise<Buffer> {
  const { createServer } = await import("node:net");
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { readonly port: number };
  const client = dialTls(url.replace(/:\d+$/, `:${port}`));
  client.on("error", () => undefined);
  const [socket] = (await once(server, "connection")) as [ReturnType<typeof connect>];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  server.close();
  return bytes;
}

test("hundreds of half-open handshakes take the place of each other, and of nobody in use", async () => {
  const { relay } = await startTls({ limits: { maxConnections: 50 } });
  const used = await RawConnection.open(relay.intakeUrl);
  used.write(rawRequest("GET /health HTTP/1.1"));
  expect((await used.answered())[0]?.status).toBe(200);
  const hello = await helloOf(relay.intakeUrl);
  let closed = 0;
  for (let index = 0; index < 300; index++) {
    const socket = connect(Number(new URL(relay.intakeUrl).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => undefined);
    socket.on("close", () => (closed += 1));
    socket.write(hello.subarray(0, index % 2 === 0 ? hello.length : 40));
    socket.resume();
  }
  await until(() => closed >= 200);
  expect((await exchange(relay.intakeUrl, rawRequest("GET /health HTTP/1.1")))?.status).toBe(200);
  const { text } = await send(relay.adminUrl, "GET", "/metrics", "", {});
  expect(Number(/waybill_tls_open_handshakes\{port="intake"\} (\d+)/.exec(text)?.[1])).toBeLessThanOrEqual(50);
});

test("a stop does not wait for handshakes that are not over", async () => {
  const { relay } = await startTls({ shutdown: { deadline: "60s" } });
  const half = connect(Number(new URL(relay.intakeUrl).port), "127.0.0.1");
  half.write((await helloOf(relay.intakeUrl)).subarray(0, 50));
  const admin = connect(Number(new URL(relay.adminUrl).port), "127.0.0.1");
  await once(admin, "connect");
  await relay.stop();
  for (const socket of [half, admin]) await until(() => socket.destroyed || socket.readableEnded || socket.closed);
});

function keptAlive(world: World): { readonly agent: Agent; get(): Promise<number> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: CA.cert, servername: NAME });
  onTestFinished(() => agent.destroy());
  const { port } = new URL(world.relay.intakeUrl);
  return {
    agent,
    get: () =>
      new Promise((resolve, reject) => {
        const outgoing = request({ agent, host: "127.0.0.1", port, path: "/health" }, (incoming) => {
          incoming.resume();
          incoming.on("end", () => resolve(incoming.statusCode ?? 0));
        });
        outgoing.on("error", reject);
        outgoing.end();
      }),
  };
}

test("a renewed certificate is shown to new connections; those that there are go on", async () => {
  const world = await startTls();
  const { relay, files, lines } = world;
  const client = keptAlive(world);
  expect(await client.get()).toBe(200);
  const sockets = Object.values(client.agent.freeSockets).flat();
  const raw = await RawConnection.open(relay.intakeUrl);
  raw.write(rawRequest("POST /v1/batch HTTP/1.1", { ...BASIC, "content-length": "51" }));
  const before = await shownAt(relay.intakeUrl);
  const renewed = CA.issue(NAME);
  writeFileSync(files.cert, renewed.cert);
  writeFileSync(files.key, renewed.key);
  expect(await relay.reload(world.configNow())).toMatchObject({ ok: true, changed: [] });
  await until(async () => (await shownAt(relay.intakeUrl)).serialNumber !== before.serialNumber);
  await until(async () => (await shownAt(relay.adminUrl)).serialNumber !== before.serialNumber);
  expect(await client.get()).toBe(200);
  expect(Object.values(client.agent.freeSockets).flat()).toEqual(sockets);
  // A request that was under way ends as if nothing had been.
  raw.write('{"batch":[{"type":"track","userId":"u","event":"E"}]}'.slice(0, 51));
  expect((await raw.answered())[0]?.status).not.toBe(undefined);
  // The two ports look at their files at the same time.
  const logged = lines.filter(({ text }) => text.includes("another certificate"));
  expect(logged.map(({ level, fields }) => `${level} ${String(fields["port"])}`).toSorted()).toEqual([
    "info admin",
    "info intake",
  ]);
});

test("files that are wrong keep the certificate before, and the log, metrics and problems say so", async () => {
  const world = await startTls();
  const { relay, files, lines } = world;
  const config = world.configNow();
  const before = await shownAt(relay.intakeUrl);
  const broken = async (): Promise<string> => (await send(relay.adminUrl, "GET", "/metrics", "", {})).text;
  writeFileSync(files.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  // A reload of the whole configuration is refused for it, with its place.
  expect(() => world.configNow()).toThrow(/tls\.cert: is .*\.crt, which has a certificate that cannot be read/);
  expect(await relay.reload(async () => world.configNow())).toMatchObject({ ok: false });
  expect(lines.filter(({ text }) => text.includes("shown on"))).toEqual([]);
  for (let look = 0; look < 2; look++) await relay.reload(config);
  await until(async () => (await broken()).includes('waybill_tls_certificate_unusable{port="intake"} 1'));
  await until(() => lines.filter(({ text }) => text.includes("shown on")).length === 2);
  const line = lines.find(({ text, fields }) => text.includes("shown on") && fields["port"] === "intake");
  expect(line?.level).toBe("error");
  expect(line?.fields["reason"]).toBe(`${files.cert} has a certificate that cannot be read, number 1`);
  const overview = await send(relay.adminUrl, "GET", "/v1/overview", "", {});
  expect(overview.json["problems"]).toMatchObject([{ code: "certificate_unusable" }, { code: "certificate_unusable" }]);
  expect((await shownAt(relay.intakeUrl)).serialNumber).toBe(before.serialNumber);
  const renewed = CA.issue(NAME);
  writeFileSync(files.cert, renewed.cert);
  writeFileSync(files.key, renewed.key);
  await relay.reload(config);
  await until(async () => (await broken()).includes('waybill_tls_certificate_unusable{port="intake"} 0'));
  expect((await shownAt(relay.intakeUrl)).serialNumber).not.toBe(before.serialNumber);
});

test("files are looked at every ten seconds; a key that comes after its certificate is not a fault", async () => {
  const clock = new VirtualClock();
  const files = filesOf();
  const end = await TlsEnd.open({ port: "admin", files, clock, write: unwritten, defer });
  end.createServer({});
  onTestFinished(() => end.stop());
  const { validTo } = end.view;
  const pass = async (): Promise<void> => {
    await clock.advance(10_000);
    await end.look();
  };
  const other = createTestCa("Other", "20600101000000Z").issue(NAME);
  writeFileSync(files.cert, other.cert);
  await clock.advance(10_000);
  expect(end.view).toMatchObject({ validTo, broken: undefined });
  writeFileSync(files.key, other.key);
  await pass();
  expect(end.view).toMatchObject({ validTo: Date.parse("2060-01-01T00:00:00Z"), broken: undefined });
  rmSync(files.key);
  await pass();
  await pass();
  expect(end.view.broken?.reason).toBe(`${files.key} cannot be read: ENOENT`);
});

const withTls = (tls: object): WorldOptions => ({ extra: { tls } });

function fault(tls: object): string {
  try {
    configOf("/tmp", "http://127.0.0.1:1", withTls(tls));
  } catch (error) {
    return (error as ConfigError).message;
  }
  return "";
}

test("what is wrong with a certificate is a fault with its place, and quotes no file", async () => {
  const files = filesOf();
  const other = filesOf();
  const hint = "; it must be a file in PEM that the relay may read";
  expect(fault({ ...files, key: other.key })).toContain(
    `tls.key: is ${other.key}, which is not the key of the certificate${hint}`,
  );
  expect(fault({ ...files, cert: "/nowhere.crt" })).toContain(
    "tls.cert: is /nowhere.crt, which cannot be read: ENOENT",
  );
  expect(fault({ ...files, key: "/tmp" })).toContain("tls.key: is /tmp, which is not a file");
  expect(fault({ ...files, cert: files.key })).toContain("which has no certificate in PEM");
  expect(fault({ ...files, key: files.cert })).toContain("which has no private key in PEM");
  expect(fault({ cert: files.cert })).toContain("tls.key");
  const own = CA.issue(NAME);
  const chain = filesOf({ cert: `${own.cert}${CA.cert}`, key: own.key });
  expect(fault(chain)).toBe("");
  expect(fault(filesOf({ cert: `${CA.cert}${own.cert}`, key: own.key }))).toContain(
    "which has the server's own certificate not as its first",
  );
  const { createPrivateKey } = await import("node:crypto");
  const encrypted = createPrivateKey(own.key).export({
    type: "pkcs8",
    format: "pem",
    cipher: "aes-256-cbc",
    passphrase: "x",
  });
  expect(fault(filesOf({ cert: own.cert, key: String(encrypted) }))).toContain(
    "which has a passphrase, which cannot be given",
  );
});

test("whether a port speaks TLS takes a restart; offline, its files may be missing", async () => {
  const world = await startTls();
  const { directory, server, relay } = world;
  expect(await relay.reload(configOf(directory, server.url))).toMatchObject({
    ok: false,
    errors: [
      "admin.tls changed; that takes a restart. Nothing was reloaded.",
      "tls changed; that takes a restart. Nothing was reloaded.",
    ],
  });
  const moved = filesOf();
  const before = await shownAt(relay.intakeUrl);
  const extra = { tls: moved, admin: { listen: "127.0.0.1:0", tls: world.files } };
  expect(await relay.reload(configOf(directory, server.url, { extra }))).toMatchObject({
    ok: true,
    changed: ["tls changed"],
  });
  await until(async () => (await shownAt(relay.intakeUrl)).serialNumber !== before.serialNumber);
  const text = JSON.stringify({
    tls: { cert: "/nowhere.crt", key: "/nowhere.key" },
    environments: {
      e: {
        sources: { web: { protocol: "segment", writeKeys: ["k"] } },
        destinations: { d: { vendor: "segment", writeKey: "k" } },
      },
    },
  });
  const checked = checkConfigOffline({ file: "f", text, env: {} });
  expect(checked.notChecked).toEqual([
    "f: the file /nowhere.crt does not exist",
    "f: the file /nowhere.key does not exist",
  ]);
  expect(checked.config?.tls).toEqual({ cert: "/nowhere.crt", key: "/nowhere.key" });
});
