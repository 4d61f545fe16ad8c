/**
 * A vendor's answer may be anything that fits into a socket: each ends as an answer or as none,
 * soon, in bounded memory, and the process goes on.
 */
import net, { type Socket } from "node:net";
import { type HttpResponse } from "@waybill/core";
import { createNodeTransport, type NodeTransport } from "@waybill/node";
import { expect, onTestFinished, test } from "vitest";

/** For what ends by itself, on a machine that may be busy. */
const PATIENCE_MS = 20_000;
const GIVE_UP_MS = 500;
const POLL = { timeout: PATIENCE_MS };
const KIB = 1024;

/** A server of bare bytes: `handle` gets each connection once the request has begun to come. */
async function vendor(
  handle: (socket: Socket) => void,
): Promise<{ readonly url: string; readonly sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", () => handle(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/`, sockets };
}

function transportOf(options = {}): NodeTransport {
  const transport = createNodeTransport(options);
  onTestFinished(() => transport.close());
  return transport;
}

interface Answered {
  readonly answer?: HttpResponse;
  /** Of the error. */
  readonly reason?: string;
}

async function ask(
  transport: NodeTransport,
  url: string,
  { body = "x", timeoutMs = PATIENCE_MS } = {},
): Promise<Answered> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return { answer: await transport({ method: "POST", url, headers: {}, body: [body] }, signal) };
  } catch (error) {
    expect(error).toMatchObject({ code: "WAYBILL_TRANSPORT" });
    return { reason: (error as { readonly reason: string }).reason };
  }
}

const head = (status: string, ...lines: string[]): string => [`HTTP/1.1 ${status} X`, ...lines, "", ""].join("\r\n");

/** Writes as fast as the other side reads, until it is gone. */
function pour(socket: Socket, text: string): void {
  const write = (): void => {
    while (!socket.destroyed && socket.writable) if (!socket.write(text)) return void socket.once("drain", write);
  };
  write();
}

test.each(["000", "099", "600", "999"])("status %s is not a answer", async (status) => {
  const { url, sockets } = await vendor((socket) => socket.write(head(status, "content-length: 0")));
  expect(await ask(transportOf(), url)).toEqual({ reason: "protocol" });
  await expect.poll(() => sockets.size, POLL).toBe(0);
});

test.each(["200", "204", "304", "302", "401", "418", "500", "599"])(
  "status %s is an answer, not followed",
  async (status) => {
    const { url } = await vendor((socket) => socket.end(head(status, "location: /elsewhere", "content-length: 0")));
    expect(await ask(transportOf(), url)).toMatchObject({ answer: { status: Number(status), body: "" } });
  },
);

test.each<[string, (socket: Socket) => void]>([
  ["nothing", (socket) => socket.end()],
  ["a reset", (socket) => socket.resetAndDestroy()],
  ["garbage", (socket) => socket.end("\u0000\u0001\u0002 not HTTP\r\n\r\n")],
  ["another protocol", (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n")],
  ["HTTP/0.9", (socket) => socket.end("hello")],
  ["HTTP/2", (socket) => socket.end("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
  ["half a head", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le")],
  ["a switch of protocols", (socket) => socket.write(head("101", "upgrade: x", "connection: upgrade"))],
  ["a switch of protocols to nothing", (socket) => socket.write(head("101"))],
  ["an interim answer and an end", (socket) => socket.end(head("100"))],
  ["interim answers without end", (socket) => pour(socket, head("100").repeat(1_000))],
  ["hints without end", (socket) => pour(socket, head("103", "link: </x>").repeat(1_000))],
  ["headers without end", (socket) => (socket.write("HTTP/1.1 200 OK\r\n"), pour(socket, "x: y\r\n".repeat(1_000)))],
  ["one header without end", (socket) => (socket.write("HTTP/1.1 200 OK\r\nx: "), pour(socket, "y".repeat(64 * KIB)))],
  ["a control character in a header", (socket) => socket.end(`${head("200", "x: a\u0001b", "content-length: 0")}`)],
  ["a length below none", (socket) => socket.end(`${head("200", "content-length: -1")}ok`)],
  ["a length beyond numbers", (socket) => socket.end(`${head("200", `content-length: ${"9".repeat(30)}`)}ok`)],
  ["two lengths", (socket) => socket.end(`${head("200", "content-length: 1", "content-length: 2")}ok`)],
  ["less than it says", (socket) => socket.end(`${head("200", "content-length: 10")}ok`)],
  ["a chunk of no size", (socket) => socket.end(`${head("200", "transfer-encoding: chunked")}ZZ\r\nok`)],
  ["chunks that end early", (socket) => socket.end(`${head("200", "transfer-encoding: chunked")}5\r\nok`)],
])("%s is not a answer, and the connection is gone", async (_what, handle) => {
  const { url, sockets } = await vendor(handle);
  const { reason } = await ask(transportOf(), url);
  expect(["protocol", "reset"]).toContain(reason);
  await expect.poll(() => sockets.size, POLL).toBe(0);
});

test("silence, and a drip, last until the caller's time is over", async () => {
  const silent = await vendor(() => undefined);
  const dripping = await vendor((socket) => {
    socket.write(head("200", "content-length: 1000000"));
    const timer = setInterval(() => socket.write("x"), 20);
    socket.on("close", () => clearInterval(timer));
  });
  for (const { url, sockets } of [silent, dripping]) {
    expect(await ask(transportOf(), url, { timeoutMs: GIVE_UP_MS })).toEqual({ reason: "aborted" });
    await expect.poll(() => sockets.size, POLL).toBe(0);
  }
});

test.each([
  ["without end", (socket: Socket): void => (socket.write(head("200")), pour(socket, "x".repeat(64 * KIB)))],
  [
    "in chunks without end",
    (socket: Socket): void => (
      socket.write(head("200", "transfer-encoding: chunked")), pour(socket, "1\r\nx\r\n".repeat(1_000))
    ),
  ],
  [
    "of a gigabyte, it says",
    (socket: Socket): void => (
      socket.write(head("200", "content-length: 1000000000")), pour(socket, "x".repeat(64 * KIB))
    ),
  ],
])("an answer %s is read to the limit, is cut there, and its connection closed", async (_what, handle) => {
  const { url, sockets } = await vendor(handle);
  const { answer } = await ask(transportOf({ answerMaxBytes: 10 * KIB }), url);
  expect(answer).toMatchObject({ status: 200, cut: true });
  expect(answer?.body).toBe("x".repeat(10 * KIB));
  await expect.poll(() => sockets.size, POLL).toBe(0);
});

test("an answer of just the limit is whole, and its connection is used again", async () => {
  let connections = 0;
  const { url } = await vendor((socket) => {
    connections += 1;
    const answer = head("200", `content-length: ${KIB}`) + "x".repeat(KIB);
    socket.write(answer);
    socket.on("data", () => socket.write(answer));
  });
  const transport = transportOf({ answerMaxBytes: KIB });
  for (let index = 0; index < 2; index++) {
    const { answer } = await ask(transport, url);
    expect(answer?.body).toHaveLength(KIB);
    expect(answer?.cut).toBeUndefined();
  }
  expect(connections).toBe(1);
});

test("more than it says belongs to no other request", async () => {
  let connections = 0;
  const { url } = await vendor((socket) => {
    connections += 1;
    // The second answer waits for a request that it is not for.
    socket.write(`${head("500", "content-length: 0")}${head("200", "content-length: 6")}forged`);
  });
  const transport = transportOf();
  for (let index = 0; index < 3; index++)
    expect(await ask(transport, url)).not.toMatchObject({ answer: { status: 200 } });
  expect(connections).toBe(3);
});

test("headers may have any name and any bytes; none of them is looked up by surprise", async () => {
  const { url } = await vendor((socket) =>
    socket.end(
      Buffer.concat([
        Buffer.from("HTTP/1.1 200 OK\r\n__proto__: a\r\nconstructor: b\r\ntoString: c\r\nhasOwnProperty: d\r\nx: "),
        Buffer.from([0xff, 0x80, 0xc3]),
        Buffer.from(
          "\r\nretry-after: 1\r\nretry-after: 2\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 2\r\n\r\n",
        ),
        Buffer.from([0xff, 0xfe]),
      ]),
    ),
  );
  const { answer } = await ask(transportOf(), url);
  expect(answer?.headers).toMatchObject({ constructor: "b", tostring: "c", "retry-after": "1", "set-cookie": "a,b" });
  expect(Object.getPrototypeOf(answer?.headers)).toBeNull();
  expect(answer?.headers["valueOf"]).toBeUndefined();
  expect(answer?.body).toBe("\ufffd\ufffd");
});

test("a refusal that comes before the request was read counts, and the rest is not sent", async () => {
  const { url, sockets } = await vendor((socket) => {
    socket.pause();
    socket.write(`${head("413", "content-length: 2")}no`);
  });
  expect(await ask(transportOf(), url, { body: "x".repeat(20_000_000) })).toEqual({
    answer: { status: 413, headers: { "content-length": "2" }, body: "no" },
  });
  for (const socket of sockets) socket.resume();
  await expect.poll(() => sockets.size, POLL).toBe(0);
});

test.each<[string, { readonly url?: string; readonly headers?: Record<string, string> }]>([
  ["a URL that is not one", { url: "http://[" }],
  ["no URL", { url: "" }],
  ["another protocol", { url: "ftp://127.0.0.1/" }],
  ["a line's end in a header", { headers: { "x-api-key": "secret\n" } }],
  ["a name that is not one", { headers: { "a b": "secret" } }],
  ["a trailer", { headers: { trailer: "x" } }],
])("%s is refused before a byte is sent, without its value, and says that it always will be", async (_what, fault) => {
  const { url, sockets } = await vendor(() => undefined);
  const request = { method: "POST", url, headers: {}, body: ["x"], ...fault } as const;
  const sent = transportOf()(request, AbortSignal.timeout(PATIENCE_MS));
  await expect(sent).rejects.toMatchObject({ code: "WAYBILL_TRANSPORT", reason: "invalid_request", retryable: false });
  await expect(sent).rejects.not.toThrow("secret");
  await expect.poll(() => sockets.size, POLL).toBe(0);
});

test("two hundred endless answers, sixteen at once, take no more memory than a few", async () => {
  const { url, sockets } = await vendor((socket) => (socket.write(head("200")), pour(socket, "x".repeat(64 * KIB))));
  const transport = transportOf({ maxSockets: 16 });
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 20 }, () => ask(transport, url)));
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * KIB * KIB);
  await expect.poll(() => sockets.size, POLL).toBe(0);
});
