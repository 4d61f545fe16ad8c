/** Whose `X-Forwarded-*` is believed, and what it changes. */
import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { TrustedProxies } from "../src/trusted-proxies.ts";
import { configOf, JSON_TYPE, send, startWorld } from "./lib/world.ts";

const TOKEN = "a-token-of-ours";
const PROXIES = ["10.0.0.0/8", "192.168.1.7", "fd00::/8"];

function request(address: string | undefined, headers: object, encrypted = false): IncomingMessage {
  return { headers, socket: { remoteAddress: address, encrypted } } as unknown as IncomingMessage;
}

const clientOf = (address: string, forwardedFor: string, proxies = PROXIES): string | undefined =>
  new TrustedProxies(proxies).of(request(address, { "x-forwarded-for": forwardedFor })).address;

test.each([
  ["from anybody else nothing is believed", "203.0.113.1", "198.51.100.1", "203.0.113.1"],
  ["from a proxy it is", "10.1.2.3", "198.51.100.1", "198.51.100.1"],
  ["an address is itself alone", "192.168.1.8", "198.51.100.1", "192.168.1.8"],
  ["an address", "192.168.1.7", "198.51.100.1", "198.51.100.1"],
  ["IPv4 as IPv6", "::ffff:10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1"],
  ["IPv6", "fd00::1", "2001:db8::7", "2001:db8::7"],
  ["with ports and brackets", "10.1.2.3", "[2001:db8::7]:4711", "2001:db8::7"],
  ["with a port", "10.1.2.3", "198.51.100.1:4711", "198.51.100.1"],
  ["what the client wrote itself is not", "10.1.2.3", "1.1.1.1, 198.51.100.1, 10.0.0.9", "198.51.100.1"],
  ["what is not an address ends it", "10.1.2.3", "1.1.1.1, unknown, 10.0.0.9", "10.0.0.9"],
  ["nothing", "10.1.2.3", "", "10.1.2.3"],
  ["noise", "10.1.2.3", ",,<script>", "10.1.2.3"],
])("the client's address: %s", (_name, address, header, expected) => {
  expect(clientOf(address, header)).toBe(expected);
});

test("without the setting nothing is believed; scheme and host are as the nearest proxy says", () => {
  const headers = {
    "x-forwarded-for": "198.51.100.1",
    "x-forwarded-proto": "http, https",
    "x-forwarded-host": "evil.test, waybill.test",
  };
  expect(new TrustedProxies().of(request("10.0.0.1", headers))).toEqual({
    address: "10.0.0.1",
    isSecure: false,
    host: undefined,
  });
  expect(new TrustedProxies(PROXIES).of(request("10.0.0.1", headers))).toEqual({
    address: "198.51.100.1",
    isSecure: true,
    host: "waybill.test",
  });
  expect(new TrustedProxies(PROXIES).of(request("10.0.0.1", {}, true)).isSecure).toBe(true);
  expect(new TrustedProxies(PROXIES).of(request("10.0.0.1", { "x-forwarded-proto": "http" }, true)).isSecure).toBe(
    false,
  );
  expect(new TrustedProxies(PROXIES).has(undefined)).toBe(false);
  expect(new TrustedProxies(PROXIES).of(request("10.0.0.1", { "x-real-ip": "198.51.100.2" })).address).toBe(
    "198.51.100.2",
  );
});

test.each(["10.0.0.0/33", "10.0.0", "proxy.internal", "::1/129", "10.0.0.1/", "", "*"])(
  "%j is not a network, and a fault",
  (text) => {
    expect(() => configOf("/tmp", "http://127.0.0.1:1", { extra: { trustedProxies: [text] } })).toThrow(
      /trustedProxies\.0.*it must be an address or a network/,
    );
  },
);

test("sign-ins are limited by the client's address, and its cookie is Secure where it speaks TLS", async () => {
  const admin = { listen: "127.0.0.1:0", token: TOKEN, hosts: ["waybill.test"] };
  const world = await startWorld({ extra: { trustedProxies: ["127.0.0.1"], admin } });
  const signIn = (token: string, client: string, more: Record<string, string> = {}): ReturnType<typeof send> =>
    send(
      world.relay.adminUrl,
      "POST",
      "/v1/session",
      { token },
      { ...JSON_TYPE, "x-forwarded-for": `1.2.3.4, ${client}`, ...more },
    );
  for (let tries = 0; tries < 10; tries++) expect((await signIn("wrong-wrong", "198.51.100.1")).status).toBe(401);
  expect((await signIn(TOKEN, "198.51.100.1")).status).toBe(429);
  const other = await signIn(TOKEN, "198.51.100.2", { "x-forwarded-proto": "https" });
  expect(other.status).toBe(200);
  expect(other.headers["set-cookie"]?.[0]).toMatch(/; Secure$/);
  // Its own name is the one that the browser sees.
  const page = { "x-forwarded-host": "waybill.test", origin: "https://waybill.test" };
  expect((await signIn(TOKEN, "198.51.100.2", page)).status).toBe(200);
  expect((await signIn(TOKEN, "198.51.100.2", { ...page, "x-forwarded-host": "evil.test" })).status).toBe(403);
  expect((await signIn(TOKEN, "198.51.100.2", { origin: "https://waybill.test" })).status).toBe(403);
});

test("a reload changes who is believed; the host of a source may be the one that a proxy names", async () => {
  const sources = { web: { protocol: "segment", writeKeys: ["k"], hosts: ["events.test"], keyless: true } };
  const world = await startWorld({ sources });
  const post = (): ReturnType<typeof send> =>
    send(
      world.relay.intakeUrl,
      "POST",
      "/v1/batch",
      { batch: [{ type: "track", userId: "u", event: "E" }] },
      { "x-forwarded-host": "events.test" },
    );
  expect((await post()).status).toBe(401);
  const result = await world.relay.reload(
    configOf(world.directory, world.server.url, { sources, extra: { trustedProxies: ["127.0.0.0/8"] } }),
  );
  expect(result).toMatchObject({ ok: true, changed: ["trustedProxies changed"] });
  expect((await post()).status).toBe(200);
});
