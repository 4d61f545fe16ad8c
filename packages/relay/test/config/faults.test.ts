/** Configurations that must not be taken, and what their faults must not say. */
import assert from "node:assert";
import { type ConfigError, loadConfig } from "@waybill/relay";
import { expect, test } from "vitest";

/** Used wherever a secret may be; no message may contain it. */
const SECRET = "sk-live-0123456789";

type Json = Record<string, unknown>;

/** A right configuration with other members. */
function configWith({ top = {}, source = {}, destination = {}, more = {} }: Readonly<Record<string, Json>>): string {
  return JSON.stringify({
    ...top,
    environments: {
      production: {
        sources: { web: { protocol: "segment", writeKeys: ["k"], ...source } },
        destinations: { crm: { vendor: "segment", writeKey: "k", ...destination }, ...more },
      },
    },
  });
}

function faults(text: string, env: Record<string, string> = {}): string {
  try {
    loadConfig({ file: "f", text, env });
  } catch (error) {
    expect(error).toMatchObject({ code: "WAYBILL_CONFIG" });
    return (error as ConfigError).message;
  }
  return "";
}

const HTTP = { vendor: "http", writeKey: undefined, url: "https://example.test/" };
const FILE = { vendor: "file", writeKey: undefined };
const LAUNCHDARKLY = { protocol: "launchdarkly" };

test.each([
  // What HTTP refuses, by its key and never by its value.
  ["a write key with a line break", { destination: { writeKey: `${SECRET}\n` } }, "crm.writeKey: ends in a line break"],
  [
    "a write key beyond ASCII",
    { destination: { writeKey: `${SECRET}ü` } },
    "crm.writeKey: has characters that are not",
  ],
  ["a write key of two words", { destination: { writeKey: `${SECRET} x` } }, "crm.writeKey: has white space"],
  ["an inbound key with a line break", { source: { writeKeys: [`${SECRET}\r\n`] } }, "web.writeKeys.0: ends in a line"],
  ["an inbound key beyond ASCII", { source: { writeKeys: [{ key: `${SECRET}→` }] } }, "web.writeKeys.0.key: has char"],
  ["a mobile key", { source: { ...LAUNCHDARKLY, mobileKeys: [`${SECRET}\t`] } }, "web.mobileKeys.0: has white space"],
  ["a tenant", { destination: { vendor: "trophy", tenantId: `${SECRET}\n` } }, "crm.tenantId: ends in a line break"],
  ["a tenant", { destination: { vendor: "trophy", tenantId: `${SECRET}→` } }, "crm.tenantId: has characters beyond"],
  [
    "a header's value",
    { destination: { ...HTTP, headers: { a: `${SECRET}\n` } } },
    "crm.headers.a: ends in a line break",
  ],
  ["a header's value", { destination: { ...HTTP, headers: { a: `${SECRET}\0x` } } }, "crm.headers.a: has control"],
  [
    "a header's value",
    { destination: { ...HTTP, headers: { a: `${SECRET}→` } } },
    "crm.headers.a: has characters beyond",
  ],
  [
    "a header's name",
    { destination: { ...HTTP, headers: { "a b": SECRET } } },
    "crm.headers.a b: is not a header name",
  ],
  ["a header's name", { destination: { ...HTTP, headers: { "": SECRET } } }, "crm.headers.: is not a header name"],
  ["a header twice", { destination: { ...HTTP, headers: { "X-A": SECRET, "x-a": "1" } } }, "x-a: is given twice"],
  ["framing", { destination: { ...HTTP, headers: { "Content-Length": "5" } } }, "Content-Length: is set by the relay"],
  ["framing", { destination: { ...HTTP, headers: { "transfer-encoding": "chunked" } } }, "is set by the relay"],
  ["a CORS header", { source: { ...LAUNCHDARKLY, allowedHeaders: ["a\nb"] } }, "web.allowedHeaders.0: is"],
  ["a CORS origin", { source: { ...LAUNCHDARKLY, allowedOrigins: ["https://a\nb"] } }, "web.allowedOrigins.0: is"],
  ["a token with a line break", { top: { admin: { token: `${SECRET}\n` } } }, "admin.token: ends in a line break"],
  ["a token beyond ASCII", { top: { admin: { token: `${SECRET}ä` } } }, "admin.token: has characters that are not"],
  ["a blank token", { top: { admin: { token: "         " } } }, "admin.token: has white space"],
  ["a short token", { top: { admin: { token: "sk-live" } } }, "admin.token: has fewer than 8"],
  // The value of a whole map or list.
  [
    "a key's end",
    { source: { writeKeys: [{ key: SECRET, expires: "soon" }] } },
    "writeKeys.0.expires: is not an ISO time",
  ],
  [
    "a key's end",
    { source: { writeKeys: [{ key: SECRET, expires: "2026-13-45T99:99:99Z" }] } },
    "expires: is not an ISO time",
  ],
  ["keys that are one text", { source: { writeKeys: SECRET } }, "web.writeKeys: is a text; it must be a list"],
  ["a key that is a number", { destination: { writeKey: [SECRET] } }, "crm.writeKey: is a list; it must be a text"],
  [
    "headers that are a list",
    { destination: { ...HTTP, headers: [SECRET] } },
    "crm.headers: is a list; it must be a map",
  ],
  ["a token that is a map", { top: { admin: { token: { is: SECRET } } } }, "admin.token: is a map; it must be a text"],
  ["a map for a size", { top: { limits: { bodyMaxBytes: { is: SECRET } } } }, "bodyMaxBytes: is a map"],
  [
    "a short signing secret",
    { destination: { ...HTTP, signingSecret: "sk-live" } },
    "signingSecret: has fewer than 8 characters",
  ],
  ["a key where a URL belongs", { destination: { url: SECRET } }, "crm.url: is not an http or https URL"],
  ["a URL's password", { destination: { url: `https://me:${SECRET}@example.test` } }, "crm.url: carries credentials"],
  [
    "a URL's password",
    { destination: { url: `ftp://me:${SECRET}@example.test` } },
    "crm.url: is not an http or https URL",
  ],
  ["a URL's query", { destination: { url: `https://example.test/?key=${SECRET}` } }, "crm.url: has a query"],
  ["a URL's fragment", { destination: { url: `https://example.test/#${SECRET}` } }, "crm.url: has a fragment"],
  ["a URL with a line break", { destination: { url: "https://example.test/\n" } }, "crm.url: has white space"],
  [
    "another flags URL",
    { destination: { vendor: "launchdarkly", flagsUrl: `file://${SECRET}?x` } },
    "flagsUrl: is not an http",
  ],
  // The admin API.
  [
    "an open admin API",
    { top: { admin: { listen: "0.0.0.0:8081" } } },
    "admin.listen: is not loopback, and there is no",
  ],
  ["an open admin API", { top: { admin: { listen: "[::]:8081" } } }, "admin.listen: is not loopback"],
  ["an open admin API", { top: { admin: { listen: "waybill.internal:8081" } } }, "admin.listen: is not loopback"],
  ["a host with a port", { top: { admin: { hosts: ["waybill:8081"] } } }, "admin.hosts.0: is"],
  ["a host in capitals", { top: { admin: { hosts: ["Waybill"] } } }, "admin.hosts.0: is"],
  // Numbers.
  ["a huge time", { top: { shutdown: { deadline: "99999999999999999999d" } } }, "deadline: is"],
  ["a huge time", { top: { shutdown: { deadline: 1e300 } } }, "deadline: is 1e+300; it must be from 0 to 315360000000"],
  ["a huge size", { top: { retention: { hardMaxBytes: "9999999999GiB" } } }, "hardMaxBytes: is"],
  ["no time at all", { destination: { timeout: "0s" } }, 'crm.timeout: is "0s"; it must be from 1'],
  ["no time at all", { destination: { timeout: 0 } }, "crm.timeout: is 0; it must be from 1"],
  ["no backoff", { destination: { backoff: { base: 0 } } }, "crm.backoff.base: is 0"],
  ["no limit of heads", { top: { limits: { headersTimeout: "0ms" } } }, "limits.headersTimeout: is"],
  [
    "heads after bodies",
    { top: { limits: { headersTimeout: "61s" } } },
    "headersTimeout: is above limits.requestTimeout",
  ],
  [
    "a rate near nothing",
    { source: { maxRequestsPerSecond: 1e-300 } },
    "web.maxRequestsPerSecond: is 1e-300; it must be at least 0.001",
  ],
  ["a flush without end", { source: { ...LAUNCHDARKLY, memory: { flushInterval: 0 } } }, "flushInterval: is 0"],
  ["an empty redaction", { destination: { redact: [""] } }, 'crm.redact.0: is ""'],
  ["an empty part of a redaction", { destination: { redact: ["context..ip"] } }, "crm.redact.0: is"],
  // Files.
  [
    "one file twice",
    { more: { a: { ...FILE, path: "/x/e.log" }, b: { ...FILE, path: "/x/y/../e.log" } } },
    "b.path: is the file of production/a",
  ],
  [
    "one file twice",
    { more: { a: { ...FILE, path: "x//e.log" }, b: { ...FILE, path: "./x/e.log" } } },
    "b.path: is the file of production/a",
  ],
  [
    "a file within a file",
    { more: { a: { ...FILE, path: "/x/e" }, b: { ...FILE, path: "/x/e/f" } } },
    "one within the other",
  ],
  ["a directory", { destination: { ...FILE, path: "/x/y/" } }, "crm.path: names a directory"],
  ["a directory", { destination: { ...FILE, path: ".." } }, "crm.path: names a directory"],
  [
    "the log's folder",
    { destination: { ...FILE, path: "waybill-data/production/log/00000000000000000000.log" } },
    "crm.path: is where the relay's own",
  ],
  [
    "a lane's state",
    { top: { dataDirectory: "/d" }, destination: { ...FILE, path: "/x/../d/production/lanes/crm" } },
    "relay's own",
  ],
  ["the lock", { top: { dataDirectory: "/d/" }, destination: { ...FILE, path: "/d/.lock/x" } }, "relay's own"],
  ["the data directory", { top: { dataDirectory: "/d/e" }, destination: { ...FILE, path: "/d" } }, "relay's own"],
  ["a zero byte", { destination: { ...FILE, path: "/x/\0" } }, "crm.path: has a zero byte"],
  // Names.
  [
    "a name of a prototype",
    { more: JSON.parse('{"__proto__":{"vendor":"segment","writeKey":"k"}}') as Json },
    "__proto__: is not a valid name",
  ],
])("%s is a fault: %j", (_name, parts, expected) => {
  const message = faults(configWith(parts as never));
  expect(message).toContain(expected);
  expect(message).not.toContain(SECRET);
});

test("a file beside the relay's own folders is taken, and loopback needs no token", () => {
  const right = configWith({
    top: { dataDirectory: "/var/lib/waybill", admin: { listen: "[::1]:1", hosts: ["waybill.internal", "::1"] } },
    more: {
      a: { ...FILE, path: "/var/lib/waybill/archive/e.ndjson" },
      b: { ...FILE, path: "/var/lib/waybill/e.ndjson" },
    },
  });
  expect(faults(right)).toBe("");
  for (const listen of ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"])
    expect(faults(configWith({ top: { admin: { listen } } }))).toBe("");
  expect(faults(configWith({ top: { admin: { listen: "0.0.0.0:1", token: "long-enough" } } }))).toBe("");
  expect(faults(configWith({}), { WAYBILL_ADMIN_LISTEN: "0.0.0.0:1" })).toContain("is not loopback");
});

test("names that every object has are names like others", () => {
  const names = ["constructor", "tostring", "hasownproperty", "valueof"];
  const destinations = Object.fromEntries(names.map((name) => [name, { vendor: "segment", writeKey: "k" }]));
  const environments = Object.fromEntries(
    names.map((name, index) => [
      name,
      { sources: { [`${name}-${index}`]: { protocol: "segment", writeKeys: [name] } }, destinations },
    ]),
  );
  const config = loadConfig({ file: "f", text: JSON.stringify({ environments }), env: {} });
  expect(config.environments.map(({ name }) => name)).toEqual(names);
  expect(config.environments[0]?.destinations.map(({ name }) => name)).toEqual(names);
});

test("maps from names may have any: headers, events", () => {
  const text = configWith({
    destination: {
      ...HTTP,
      headers: JSON.parse('{"__proto__":"a","constructor":"b"}') as Json,
      events: JSON.parse('{"__proto__":"c","toString":false}') as Json,
    },
  });
  const [destination] = loadConfig({ file: "f", text, env: {} }).environments[0]?.destinations ?? [];
  assert.ok(destination?.vendor === "http");
  expect(Object.entries(destination.headers)).toEqual([
    ["__proto__", "a"],
    ["constructor", "b"],
  ]);
  expect(Object.entries(destination.events)).toEqual([
    ["__proto__", "c"],
    ["toString", false],
  ]);
});

test.each([
  ["vendor", { destination: { vendor: "${S}" } }],
  ["timeout", { destination: { timeout: "${S}" } }],
  ["listen", { top: { listen: "${S}" } }],
  ["url", { destination: { url: "x://${S}" } }],
  ["log.level", { top: { log: { level: "${S}" } } }],
  ["redact", { destination: { redact: ["${S}."] } }],
])("what comes from the environment is never shown, wherever it is used: %s", (_name, parts) => {
  const message = faults(configWith(parts), { S: SECRET });
  expect(message).not.toBe("");
  expect(message).not.toContain(SECRET);
});

test.each([
  ["an alias", `writeKey: *${SECRET}`],
  ["a directive", `%${SECRET}\n---\na: 1`],
  ["a block's head", `a: |${SECRET}\n  x`],
  ["a missing quote", `a: "${SECRET}`],
  ["a key twice", `${SECRET}: 1\n${SECRET}: 2`],
  ["a map in a line", `a: ${SECRET}: b`],
  ["two documents", `a: 1\n---\n${SECRET}: 1`],
  ["a reference that is not one", `a: "\${${SECRET}}"`],
])("what is not YAML is not quoted: %s", (_name, text) => {
  const message = faults(text);
  expect(message).toMatch(/^f:\d+:\d+/);
  expect(message).not.toContain(SECRET);
});

test("names are shown without what steers a terminal", () => {
  const message = faults(configWith({ top: { "\u001b[2Jx\nf:1:1 forged": 1 } }));
  expect(message.split("\n")).toHaveLength(1);
  expect(message).toContain("\\u001b[2Jx\\u000af:1:1 forged: unknown key");
});

test.each([
  ["nothing", "", "environments: is required"],
  ["a comment", "# nothing\n", "environments: is required"],
  ["null", "null", "environments: is required"],
  ["a text", "waybill", "is a text; it must be a map"],
  ["a list", "[]", "is a list; it must be a map"],
  ["a program", `\u007fELF\0\0\u0001${"\0".repeat(100)}`, "is not a text file"],
  ["100 MB", "a: 1\n".repeat(20_000_000), "has more than 1048576 bytes"],
  ["brackets without end", "[".repeat(1_000_000), "is nested more than 200 levels deep"],
  ["brackets in their hundreds of thousands", `a: ${"[".repeat(400_000)}${"]".repeat(400_000)}`, "nested more than"],
  ["lists in lists", `a:\n  ${"- ".repeat(400_000)}x`, "is nested more than 200 levels deep"],
  ["maps in maps", Array.from({ length: 300 }, (_, level) => `${" ".repeat(level)}a:`).join("\n"), "nested more than"],
  ["one key in its tens of thousands", "a: 1\n".repeat(40_000), "Map keys must be unique"],
])("%s is refused clearly, and soon", (_name, text, expected) => {
  const startedAtMs = performance.now();
  const message = faults(text);
  expect(message).toContain(expected);
  expect(message.split("\n").length).toBeLessThanOrEqual(100);
  expect(performance.now() - startedAtMs).toBeLessThan(10_000);
});
