/**
 * The HTTP end of the intake: a request harms only itself, heads and times are bounded, and nobody
 * is read out of politeness.
 */
import { once } from "node:events";
import type { Server } from "node:http";
import { gzipSync } from "node:zlib";
import { nodeClock } from "@waybill/node";
import { expect, onTestFinished, test } from "vitest";
import { BodyReader } from "../../src/intake/body.ts";
import type { Intake } from "../../src/intake/intake.ts";
import { createIntakeServer, type IntakeServerOptions } from "../../src/intake/intake-server.ts";
import { Turns } from "../../src/intake/turns.ts";
import { exchange, RawConnection, rawRequest } from "../lib/raw.ts";
import { steadyClock } from "../lib/steady-clock.ts";
import { overTls, secureServer } from "../lib/tls.ts";
import { startWorld, until } from "../lib/world.ts";

const OPENED = { payer: undefined, bodyMaxBytes: 100_000 };
const FINE = { status: 200, headers: {}, body: "fine" };

/** A server before an intake that is as broken as the test wants it. */
async function serve(
  intake: Readonly<Partial<Record<"open" | "accept" | "refuseBody", (...args: never[]) => unknown>>>,
  options: Partial<IntakeServerOptions> = {},
): Promise<{ readonly url: string; readonly errors: unknown[]; readonly bodies: BodyReader; readonly server: Server }> {
  const errors: unknown[] = [];
  const bodies = new BodyReader({ maxBytes: 100_000, maxTotalBytes: 24_000_000, clock: nodeClock });
  const createServer = await secureServer();
  const server = createIntakeServer({
    intake: {
      open: () => OPENED,
      accept: () => Promise.resolve(FINE),
      refuseBody: () => ({ status: 400, headers: {}, body: "refused" }),
      ...intake,
    } as unknown as Intake,
    bodies,
    readiness: () => ({ ready: true, components: [], lanes: [] }),
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 60_000,
    onError: (error) => errors.push(error),
    clock: nodeClock,
    ...(createServer === undefined ? {} : { createServer }),
    ...options,
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { readonly port: number };
  return { url: `http${overTls.isOn ? "s" : ""}://127.0.0.1:${port}`, errors, bodies, server };
}

function fail(): never {
  throw new TypeError("it broke");
}

test.each<[string, Parameters<typeof serve>[0]]>([
  ["open", { open: fail }],
  ["accept, at once", { accept: fail }],
  ["accept, later", { accept: () => Promise.reject(new TypeError("it broke")) }],
  ["accept, with what is not a error", { accept: () => Promise.reject(undefined as unknown as Error) }],
  [
    "an answer's header that HTTP does not allow",
    { accept: () => Promise.resolve({ ...FINE, headers: { a: "b\nc" } }) },
  ],
  [
    "an answer's name that HTTP does not allow",
    { accept: () => Promise.resolve({ ...FINE, headers: { "a b": "c" } }) },
  ],
  ["an answer's status that HTTP does not allow", { accept: () => Promise.resolve({ ...FINE, status: 99 }) }],
  ["an answer without a body", { accept: () => Promise.resolve({ status: 200, headers: {} }) }],
  ["an early answer's header", { open: () => ({ ...FINE, headers: { a: "\u0000" } }) }],
])("what is thrown by %s is one 500, one line of the log, and the connection serves on", async (_name, intake) => {
  const { url, errors, bodies } = await serve(intake);
  const connection = await RawConnection.open(url);
  connection.write(rawRequest("POST /v1/batch HTTP/1.1", {}, "{}"));
  const [answer] = await connection.answered();
  expect(answer?.status).toBe(500);
  expect(JSON.parse(answer?.body ?? "")).toMatchObject({ code: "internal" });
  expect(answer?.body).not.toContain("it broke");
  expect(errors).toHaveLength(1);
  connection.write(rawRequest("GET /health HTTP/1.1"));
  expect((await connection.answered(2))[1]?.status).toBe(200);
  expect([bodies.heldBytes, bodies.keyless.shares]).toEqual([0, 0]);
});

test("what is thrown while a body is refused is one 500 too", async () => {
  const { url, errors, bodies } = await serve({ refuseBody: fail });
  const answer = await exchange(url, rawRequest("POST / HTTP/1.1", { "content-encoding": "__proto__" }, "{}"));
  expect([answer?.status, errors.length, bodies.heldBytes]).toEqual([500, 1, 0]);
});

test("a request that is thrown at while 10 MB of it are on their way is not read to its end", async () => {
  const { url } = await serve({ open: fail });
  const connection = await RawConnection.open(url);
  connection.write(rawRequest("POST / HTTP/1.1", { "content-length": "10000000" }));
  expect((await connection.answered())[0]?.status).toBe(500);
  await connection.closed();
});

test("a refused client has its answer, and is then read no more than a little", async () => {
  const { url, server } = await serve({ open: () => ({ status: 401, headers: {}, body: "who are you" }) });
  const sockets: { readonly bytesRead: number }[] = [];
  server.on("connection", (socket: { readonly bytesRead: number }) => sockets.push(socket));
  for (const length of ["content-length: 10000000000", "transfer-encoding: chunked"]) {
    const connection = await RawConnection.open(url);
    const [name = "", value = ""] = length.split(": ");
    connection.write(rawRequest("POST /v1/batch HTTP/1.1", { [name]: value }));
    const piece = Buffer.concat([Buffer.from("10000\r\n"), Buffer.alloc(65_536, 0x61), Buffer.from("\r\n")]);
    const sending = setInterval(() => connection.socket.writable && connection.write(piece), 1);
    const [answer] = await connection.answered();
    expect(answer).toMatchObject({ status: 401, body: "who are you" });
    expect(answer?.head).toMatch(/^connection: close$/im);
    await connection.closed();
    clearInterval(sending);
    expect(sockets.at(-1)?.bytesRead).toBeLessThan(3 * 1_048_576);
  }
});

test("after a refusal of a request whose rest is short the connection goes on", async () => {
  const { url } = await serve({ open: () => ({ status: 401, headers: {}, body: "" }) });
  const connection = await RawConnection.open(url);
  for (let time = 1; time <= 3; time++) {
    connection.write(rawRequest("POST /v1/batch HTTP/1.1", {}, "x".repeat(30_000)));
    expect((await connection.answered(time)).length).toBe(time);
  }
  expect(connection.isClosed).toBe(false);
});

test("a head above 64 KiB, in one header, in many or in the path, and more than a thousand headers are 431", async () => {
  const { url, errors } = await serve({});
  const pad = "x".repeat(65_536);
  const many = Object.fromEntries(Array.from({ length: 4_000 }, (_, index) => [`x-${index}`, "y".repeat(20)]));
  const short = Array.from({ length: 1_100 }, () => "a: b\r\n").join("");
  for (const bytes of [
    rawRequest("POST / HTTP/1.1", { "x-long": pad }, "{}"),
    rawRequest("POST / HTTP/1.1", { [pad]: "x" }, "{}"),
    rawRequest("POST / HTTP/1.1", many, "{}"),
    rawRequest(`POST /?${pad} HTTP/1.1`, {}, "{}"),
    `POST / HTTP/1.1\r\nhost: x\r\n${short}content-length: 2\r\n\r\n{}`,
  ]) {
    const answer = await exchange(url, bytes);
    expect(answer?.status).toBe(431);
    expect(JSON.parse(answer?.body ?? "")).toMatchObject({ code: "head_too_large" });
  }
  const below = await exchange(url, rawRequest("POST / HTTP/1.1", { "x-long": "x".repeat(60_000) }, "{}"));
  expect([below?.status, errors]).toEqual([200, []]);
});

test("heads and bodies that drip are cut off within a second of their time, with 408", async () => {
  const { url } = await serve({}, { headersTimeoutMs: 500, requestTimeoutMs: 1_000 });
  for (const [start, limitMs] of [
    ["POST / HTTP/1.1\r\nhost: x\r\n", 500],
    ["POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx", 1_000],
    ["", 500],
  ] as const) {
    const connection = await RawConnection.open(url);
    const startedAtMs = nodeClock.monotonic();
    const steadyAtMs = steadyClock.monotonic();
    connection.write(start);
    const [answer] = await connection.answered();
    expect(answer?.status).toBe(408);
    expect(nodeClock.monotonic() - startedAtMs).toBeGreaterThan(limitMs - 100);
    expect(steadyClock.monotonic() - steadyAtMs).toBeLessThan(limitMs + 1_000);
    await connection.closed();
  }
});

test("what is not a request is 400 once, with a code, and its connection ends", async () => {
  const { url, errors } = await serve({});
  for (const bytes of [
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u0000\u0001\u0002\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /a\u0000b HTTP/1.1\r\nhost: x\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: x\r\nx\u0000y: z\r\n\r\n",
    "P OST / HTTP/1.1\r\nhost: x\r\n\r\n",
  ]) {
    const connection = await RawConnection.open(url);
    connection.write(Buffer.from(bytes, "latin1"));
    const [answer] = await connection.answered();
    expect(answer?.status, JSON.stringify(bytes)).toBe(400);
    expect(JSON.parse(answer?.body ?? "{}"), JSON.stringify(bytes)).toMatchObject({ code: "bad_request" });
    // More of the same is not answered again.
    connection.write(bytes);
    await connection.closed();
    expect(connection.answers).toHaveLength(1);
  }
  expect(errors).toEqual([]);
});

test("expectations, upgrades, CONNECT and transfer encodings are answered or refused", async () => {
  const { url } = await serve({});
  const waiting = await RawConnection.open(url);
  waiting.write(rawRequest("POST / HTTP/1.1", { expect: "100-continue", "content-length": "2" }));
  await until(() => waiting.text.startsWith("HTTP/1.1 100"));
  waiting.write("{}");
  expect((await waiting.answered())[0]?.status).toBe(200);
  for (const [line, headers, status] of [
    ["POST / HTTP/1.1", { expect: "200-maybe" }, 417],
    ["POST / HTTP/1.1", { expect: "__proto__" }, 417],
    ["POST / HTTP/1.1", { upgrade: "h2c", connection: "upgrade" }, 200],
    ["CONNECT example.test:443 HTTP/1.1", {}, 405],
    ["POST / HTTP/1.1", { "transfer-encoding": "gzip, chunked" }, 400],
    ["POST / HTTP/1.0", {}, 200],
  ] as const) {
    const chunked = "transfer-encoding" in headers;
    const bytes = chunked
      ? Buffer.concat([rawRequest(line, headers), Buffer.from("0\r\n\r\n")])
      : rawRequest(line, headers, "{}");
    expect((await exchange(url, bytes))?.status, `${line} ${JSON.stringify(headers)}`).toBe(status);
  }
});

test("a client that is refused before its body, which it holds back, is answered and let go", async () => {
  const { url } = await serve({ open: () => ({ status: 401, headers: {}, body: "no" }) });
  const connection = await RawConnection.open(url);
  connection.write(rawRequest("POST / HTTP/1.1", { expect: "100-continue", "content-length": "2" }));
  expect((await connection.answered())[0]?.status).toBe(401);
  expect(connection.text).not.toContain("100 Continue");
  await connection.closed();
});

test("pipelined requests are answered in order, whatever becomes of each", async () => {
  let asked = 0;
  const { url } = await serve({
    accept: async () => {
      const number = asked++;
      if (number % 3 === 0) throw new Error("a defect");
      return { ...FINE, body: String(number) };
    },
  });
  const connection = await RawConnection.open(url);
  const many = Array.from({ length: 300 }, (_, index) =>
    rawRequest("POST / HTTP/1.1", index % 5 === 0 ? { "content-encoding": "constructor" } : {}, "{}"),
  );
  connection.write(Buffer.concat(many));
  const answers = await connection.answered(300);
  expect(answers).toHaveLength(300);
  expect(
    answers.map(({ status }, index) => (index % 5 === 0 ? status === 400 : status === 200 || status === 500)),
  ).not.toContain(false);
  const numbers = answers.filter(({ status }) => status === 200).map(({ body }) => Number(body));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
});

test("connections beyond the limit take the place of idle and silent ones; those in use stay", async () => {
  let answer: (() => void) | undefined;
  const { url } = await serve(
    { accept: () => new Promise((resolve) => (answer = () => resolve(FINE))) },
    { maxConnections: 20 },
  );
  const used = await RawConnection.open(url);
  used.write(rawRequest("POST / HTTP/1.1", {}, "{}"));
  await until(() => answer !== undefined);
  const silent = await Promise.all(Array.from({ length: 40 }, () => RawConnection.open(url)));
  await until(() => silent.filter(({ isClosed }) => isClosed).length >= 20);
  expect((await exchange(url, rawRequest("GET /health HTTP/1.1")))?.status).toBe(200);
  answer?.();
  expect((await used.answered())[0]?.status).toBe(200);
});

test("a body whose client is gone before its turn came is not worked on, and holds nothing", async () => {
  const deferred: (() => void)[] = [];
  let accepted = 0;
  const turns = new Turns({ defer: (run) => deferred.push(run), onError: fail });
  const accept = (): Promise<unknown> => {
    accepted += 1;
    return Promise.resolve(FINE);
  };
  const open = (): unknown => ({ ...OPENED, bodyMaxBytes: 400_000 });
  const { url, bodies, server } = await serve({ accept, open }, { turns });
  let closed = 0;
  server.on("request", (_request, response) => response.on("close", () => (closed += 1)));
  const [gone, there] = [await RawConnection.open(url), await RawConnection.open(url)];
  for (const connection of [gone, there]) connection.write(rawRequest("POST / HTTP/1.1", {}, Buffer.alloc(300_000)));
  await until(() => turns.waiting === 2);
  expect(bodies.keyless.heldBytes).toBe(600_000);
  gone.reset();
  await until(() => closed === 1);
  while (deferred.length > 0) deferred.shift()?.();
  expect((await there.answered())[0]?.status).toBe(200);
  expect([accepted, bodies.heldBytes]).toEqual([1, 0]);
});

test("large bodies that come at once are all worked on, in turns", async () => {
  const { relay } = await startWorld();
  const url = relay.intakeUrl;
  const item = `{"type":"track","userId":"u","event":"e","pad":"${"x".repeat(1_000)}"}`;
  const body = gzipSync(`{"batch":[${Array.from({ length: 700 }, () => item).join(",")}]}`);
  const headers = { authorization: `Basic ${btoa("write-key:")}`, "content-encoding": "gzip" };
  const connections = await Promise.all(Array.from({ length: 12 }, () => RawConnection.open(url)));
  for (const connection of connections) connection.write(rawRequest("POST /v1/batch HTTP/1.1", headers, body));
  for (const connection of connections) expect((await connection.answered())[0]?.status).toBe(200);
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(12 * 700);
});
