/** Requests through a real proxy, to destinations whose certificates a CA of our own has signed. */
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { HttpResponse, Transport } from "@waybill/core";
import { createOutboundAgent, createOutboundTransport, type OutboundTransportOptions } from "@waybill/node";
import { createTestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { certificatesOf } from "../../src/outbound/trusted-roots.ts";
import { ForwardProxy } from "../lib/forward-proxy.ts";

const CA = createTestCa();
const VENDOR = CA.issue("vendor.test");
const PROXY_IDENTITY = CA.issue("localhost");
const LONGER_THAN_A_TEST_MS = 3_600_000;

interface Vendor {
  /** By a name that the proxy alone knows. */
  readonly url: string;
  readonly received: { readonly path: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }[];
  /** Connections there were. */
  connections(): number;
}

async function startVendor(scheme: "http" | "https"): Promise<Vendor> {
  const received: Vendor["received"] = [];
  const handler: http.RequestListener = (request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (text: string) => (body += text));
    request.on("end", () => {
      received.push({ path: request.url ?? "", headers: request.headers, body });
      response.end("taken");
    });
  };
  const server = scheme === "https" ? https.createServer({ ...VENDOR }, handler) : http.createServer(handler);
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `${scheme}://vendor.test:${port}`, received, connections: () => connections };
}

function transportWith(options: OutboundTransportOptions): Transport {
  const transport = createOutboundTransport(options);
  onTestFinished(() => transport.close());
  return transport;
}

function through(proxy: ForwardProxy, url = proxy.url(), more: OutboundTransportOptions = {}): Transport {
  return transportWith({ proxy: { http: url, https: url }, ca: [CA.cert], ...more });
}

const never = new AbortController().signal;

function post(transport: Transport, url: string, signal: AbortSignal = never): Promise<HttpResponse> {
  return transport(
    { method: "POST", url: `${url}/v1/batch?a=b`, headers: { "x-own": "1" }, body: ["ev", "ent"] },
    signal,
  );
}

test("https goes through a tunnel, and connections in it are used again", async () => {
  const vendor = await startVendor("https");
  const proxy = await ForwardProxy.start();
  const transport = through(proxy);
  for (let count = 0; count < 5; count++)
    expect(await post(transport, vendor.url)).toMatchObject({ status: 200, body: "taken" });
  expect(proxy.requests).toEqual([`CONNECT ${new URL(vendor.url).host}`]);
  expect(vendor.connections()).toBe(1);
  expect(vendor.received[4]).toMatchObject({ path: "/v1/batch?a=b", body: "event", headers: { "x-own": "1" } });
});

test("http goes with its whole URL over connections that are used again", async () => {
  const vendor = await startVendor("http");
  const proxy = await ForwardProxy.start({ credentials: "us er:p@ss" });
  const transport = through(proxy, proxy.url("us%20er:p%40ss"));
  for (let count = 0; count < 3; count++)
    expect(await post(transport, vendor.url)).toMatchObject({ status: 200, body: "taken" });
  expect(proxy.requests).toEqual(new Array(3).fill(`POST ${vendor.url}/v1/batch?a=b`));
  expect(vendor.received[0]).toMatchObject({ body: "event", headers: { host: new URL(vendor.url).host } });
  // One to the proxy from us; those from the proxy to the vendor are its own.
  expect(proxy.connections).toBe(1);
});

test("a proxy may itself be reached over TLS, with the same CAs", async () => {
  const proxy = await ForwardProxy.start({ identity: PROXY_IDENTITY, credentials: "u:p" });
  const transport = through(proxy, proxy.url("u:p", "localhost"));
  for (const scheme of ["http", "https"] as const) {
    const vendor = await startVendor(scheme);
    expect(await post(transport, vendor.url)).toMatchObject({ status: 200, body: "taken" });
  }
  expect(proxy.requests.map((line) => line.split(" ")[0])).toEqual(["POST", "CONNECT"]);
});

test.each(["http", "https"] as const)(
  "wrong credentials halt: the answer 407 is the proxy's own (%s)",
  async (scheme) => {
    const vendor = await startVendor(scheme);
    const proxy = await ForwardProxy.start({ credentials: "user:right" });
    const error = await post(through(proxy, proxy.url("user:wrong")), vendor.url).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "WAYBILL_TRANSPORT", reason: "invalid_request", retryable: false });
    const { message } = error as Error;
    expect(message).toBe(
      `no answer from ${vendor.url}: the proxy ${proxy.url()} answered 407 (it wants other credentials: correct the user and password in its URL)`,
    );
    expect(vendor.received).toEqual([]);
  },
);

test.each([
  ["forbids it", { status: 403 }, "answered 403 (it does not allow connections to"],
  ["has no connection", { status: 502 }, "answered 502 (it has no connection to"],
  ["answers what is not HTTP", { bytes: "SSH-2.0-x\r\n\r\n" }, "answered with something that is not HTTP"],
  ["never ends its head", { bytes: `HTTP/1.1 200 OK\r\nx: ${"x".repeat(1_000_000)}` }, "that is not HTTP"],
  ["talks in the tunnel first", { bytes: "HTTP/1.1 200 OK\r\n\r\nhello" }, "that is not HTTP"],
  ["closes", "closes", "closed the connection without an answer"],
  ["is silent", "silent", "opened no connection within 200 ms"],
] as const)("a proxy that %s: retryable, with its name and without a password", async (_name, fault, expected) => {
  const vendor = await startVendor("https");
  const proxy = await ForwardProxy.start();
  proxy.fault = fault;
  const patient = through(proxy, proxy.url("user:secret"));
  const transport = fault === "silent" ? through(proxy, proxy.url("user:secret"), { connectDeadlineMs: 200 }) : patient;
  const error = (await post(transport, vendor.url).catch((caught: unknown) => caught)) as Error;
  expect(error).toMatchObject({ code: "WAYBILL_TRANSPORT", retryable: true });
  expect(error.message).toContain(`no answer from ${vendor.url}: the proxy ${proxy.url()} `);
  expect(error.message).toContain(expected);
  expect(error.message).not.toContain("secret");
  proxy.fault = undefined;
  expect(await post(patient, vendor.url)).toMatchObject({ status: 200 });
});

test.each(["http", "https"] as const)("a proxy that is down is named (%s)", async (scheme) => {
  const proxy = await ForwardProxy.start();
  proxy.stop();
  const transport = through(proxy);
  await expect(post(transport, `${scheme}://vendor.test`)).rejects.toMatchObject({ retryable: true });
  await expect(post(transport, `${scheme}://vendor.test`)).rejects.toThrow(`the proxy ${proxy.url()}`);
});

test("a request that is given up ends at once, and its CONNECT with it", async () => {
  const proxy = await ForwardProxy.start();
  proxy.fault = "silent";
  const controller = new AbortController();
  const transport = through(proxy, proxy.url(), { connectDeadlineMs: LONGER_THAN_A_TEST_MS });
  const sent = post(transport, "https://vendor.test", controller.signal);
  while (proxy.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  controller.abort();
  await expect(sent).rejects.toMatchObject({ code: "WAYBILL_TRANSPORT", reason: "aborted" });
  while (proxy.connections > 0) await new Promise((resolve) => setTimeout(resolve, 2));
});

test("what is closed lets requests in flight end, and keeps no connection after them", async () => {
  const vendor = await startVendor("https");
  const proxy = await ForwardProxy.start();
  const transport = createOutboundTransport({ proxy: { https: proxy.url() }, ca: [CA.cert] });
  const sent = post(transport, vendor.url);
  transport.close();
  expect(await sent).toMatchObject({ status: 200 });
  while (proxy.connections > 0) await new Promise((resolve) => setTimeout(resolve, 2));
});

test("a name of NO_PROXY is reached directly", async () => {
  const vendor = await startVendor("http");
  const proxy = await ForwardProxy.start();
  const { port } = new URL(vendor.url);
  const rules = { http: proxy.url(), loopback: true };
  const url = `http://127.0.0.1:${port}`;
  expect(await post(transportWith({ proxy: { ...rules, except: "127.0.0.1" } }), url)).toMatchObject({ status: 200 });
  expect(proxy.requests).toEqual([]);
  expect(await post(transportWith({ proxy: rules }), url)).toMatchObject({ status: 200 });
  expect(proxy.requests).toHaveLength(1);
});

test("through a proxy private addresses are refused by their spelling, and names are the proxy's", async () => {
  const vendor = await startVendor("https");
  const proxy = await ForwardProxy.start();
  const rules = { http: proxy.url(), https: proxy.url(), loopback: true };
  const transport = transportWith({ proxy: rules, ca: [CA.cert], publicOnly: true });
  for (const url of ["https://10.0.0.1", "http://169.254.169.254", "https://localhost:1", "http://[::1]:1"])
    await expect(post(transport, url)).rejects.toMatchObject({ reason: "private_address" });
  expect(proxy.requests).toEqual([]);
  // The proxy is at a private address itself.
  expect(await post(transport, vendor.url)).toMatchObject({ status: 200 });
});

test("a CA is trusted beside the others, by the transport that has it alone", async () => {
  const vendor = await startVendor("https");
  const { port } = new URL(vendor.url);
  const own = CA.issue("localhost");
  const server = https.createServer({ ...own }, (_request, response) => response.end("taken"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  expect(await post(transportWith({ ca: [CA.cert] }), url)).toMatchObject({ status: 200 });
  await expect(post(transportWith({}), url)).rejects.toThrow("unable to verify");
  await expect(post(transportWith({ ca: [createTestCa("Other").cert] }), url)).rejects.toThrow("verify");
  // It trusts the CA, and the name has to be right all the same.
  await expect(post(transportWith({ ca: [CA.cert] }), `https://localhost:${port}`)).rejects.toThrow("altnames");
  // With public addresses only, it is still the guard that decides.
  const guarded = transportWith({ ca: [CA.cert], publicOnly: true });
  await expect(post(guarded, url)).rejects.toMatchObject({ reason: "private_address" });
});

test("an agent for others goes through the proxy, and keeps the guard", async () => {
  const vendor = await startVendor("https");
  const proxy = await ForwardProxy.start();
  const options = { proxy: { https: proxy.url() }, ca: [CA.cert], publicOnly: true };
  const agent = createOutboundAgent(options, vendor.url);
  onTestFinished(() => agent?.destroy());
  const answered = await new Promise<http.IncomingMessage>((resolve, reject) =>
    https.get(vendor.url, agent === undefined ? {} : { agent }, resolve).on("error", reject),
  );
  answered.resume();
  expect(answered.statusCode).toBe(200);
  expect(proxy.requests).toHaveLength(1);
  const guarded = createOutboundAgent(options, "https://10.0.0.1");
  const error = await new Promise((resolve) =>
    https.get("https://10.0.0.1", guarded === undefined ? {} : { agent: guarded }).on("error", resolve),
  );
  expect(error).toMatchObject({ code: "EPRIVATE" });
  expect(createOutboundAgent({}, vendor.url)).toBeUndefined();
});

test("of a PEM every certificate counts, and a damaged one is a fault that is not quoted", () => {
  const other = createTestCa("Other").cert;
  expect(certificatesOf(`# roots\n${CA.cert}\n${other}`)).toMatchObject({
    certificates: [CA.cert.trim(), other.trim()],
  });
  expect(certificatesOf("secret")).toEqual({ fault: "has no certificate in PEM" });
  expect(certificatesOf(VENDOR.key)).toEqual({ fault: "has no certificate in PEM" });
  const damaged = other.replace(/[A-Za-z0-9]{40}/, "secret");
  expect(certificatesOf(`${CA.cert}${damaged}`)).toEqual({ fault: "has a certificate that cannot be read, number 2" });
});

test("a server that closes in the tunnel is reported with the proxy's name", async () => {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const probe = connect(port, "127.0.0.1");
  await once(probe, "close");
  const proxy = await ForwardProxy.start();
  await expect(post(through(proxy), `https://vendor.test:${port}`)).rejects.toThrow(
    `(through the proxy ${proxy.url()})`,
  );
});
