/** Proxies and CAs in the configuration: which one holds, what is a fault, what is never quoted. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfigError, loadConfig } from "@waybill/relay";
import { createTestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { resolveEnvironment } from "../../src/config/load.ts";

const SECRET = "pr0xy-pass";
const PROXY = `http://user:${SECRET}@proxy.test:3128`;
const OTHER = "http://other.test:3128";
type Env = Readonly<Record<string, string>>;

function load(destination: object, { network = {}, env = {} }: { network?: object; env?: Env } = {}): unknown {
  const text = JSON.stringify({
    network,
    environments: {
      test: {
        sources: { web: { protocol: "segment", writeKeys: ["k"] } },
        destinations: { far: { vendor: "segment", writeKey: "k", ...destination } },
      },
    },
  });
  return loadConfig({ file: "f", text, env }).environments[0]?.destinations[0]?.outbound;
}

function faults(...[destination, around]: Parameters<typeof load>): string {
  try {
    load(destination, around);
  } catch (error) {
    return (error as ConfigError).message;
  }
  return "";
}

test.each([
  ["nothing", {}, {}, {}, undefined],
  ["HTTPS_PROXY", {}, {}, { HTTPS_PROXY: PROXY }, { https: PROXY }],
  ["HTTP_PROXY", {}, {}, { HTTP_PROXY: PROXY }, { http: PROXY }],
  ["lower case first", {}, {}, { HTTPS_PROXY: OTHER, https_proxy: PROXY }, { https: PROXY }],
  ["an empty variable", {}, {}, { HTTPS_PROXY: "" }, undefined],
  ["NO_PROXY", {}, {}, { HTTPS_PROXY: PROXY, NO_PROXY: "a.test" }, { https: PROXY, except: "a.test" }],
  ["NO_PROXY alone", {}, {}, { NO_PROXY: "a.test" }, undefined],
  ["network.proxy", {}, { proxy: PROXY }, { HTTPS_PROXY: OTHER }, { http: PROXY, https: PROXY }],
  ["network.proxy and no_proxy", {}, { proxy: PROXY }, { no_proxy: "*" }, { http: PROXY, https: PROXY, except: "*" }],
  ["network.proxy: none", {}, { proxy: "none" }, { HTTPS_PROXY: OTHER }, undefined],
  [
    "its own",
    { proxy: PROXY },
    { proxy: OTHER },
    { HTTPS_PROXY: OTHER, NO_PROXY: "*" },
    { http: PROXY, https: PROXY, loopback: true },
  ],
  ["its own: none", { proxy: "none" }, { proxy: OTHER }, { HTTPS_PROXY: OTHER }, undefined],
  ["from the environment", { proxy: `\${THE_PROXY}` }, {}, { THE_PROXY: "none" }, undefined],
] as const)("which proxy holds: %s", (_name, destination, network, env, expected) => {
  expect(load(destination, { network, env })).toEqual(expected === undefined ? undefined : { proxy: expected });
});

test("a file takes no proxy, and no CA", () => {
  const file = { vendor: "file", path: "/tmp/x", writeKey: undefined };
  expect(load(file, { env: { HTTPS_PROXY: PROXY } })).toBeUndefined();
  expect(faults({ ...file, proxy: PROXY })).toMatch(/proxy: .*segment|proxy: unknown|proxy/);
});

test.each([
  ["another protocol", { proxy: `socks5://u:${SECRET}@p` }, {}, "far.proxy: is not a proxy that speaks HTTP"],
  ["a path", { proxy: `${PROXY}/${SECRET}` }, {}, "far.proxy: has more than a host and a port"],
  ["a list", { proxy: [PROXY] }, {}, "far.proxy: "],
  ["nothing", { proxy: "" }, {}, "far.proxy: "],
  ["of the network", {}, { network: { proxy: `ftp://${SECRET}` } }, "network.proxy: is not a proxy"],
  ["a variable", {}, { env: { HTTPS_PROXY: `socks5://u:${SECRET}@p` } }, "environment HTTPS_PROXY: is not a proxy"],
  ["a variable in lower case", {}, { env: { http_proxy: `x://${SECRET}` } }, "environment http_proxy: is not a proxy"],
  ["bad credentials", { proxy: `http://u:%zz${SECRET}@p` }, {}, "far.proxy: has a user or password"],
])("a proxy that cannot be one is a fault, and not quoted: %s", (_name, destination, around, expected) => {
  const found = faults(destination, around);
  expect(found).toContain(expected);
  expect(found).not.toContain(SECRET);
});

test("a faulty variable does not count when network.proxy overrides it", () => {
  expect(faults({}, { env: { HTTPS_PROXY: "socks5://p" }, network: { proxy: "none" } })).toBe("");
});

test("CAs are read from their file; one that cannot be read is a fault with its path", () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-ca-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const { cert } = createTestCa();
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const good = file("good.pem", cert);
  expect(load({ ca: good })).toEqual({ ca: [cert.trim()] });
  expect(load({ ca: good, proxy: PROXY })).toMatchObject({ ca: [cert.trim()], proxy: { https: PROXY } });
  const missing = join(directory, "missing.pem");
  const text = file("text.pem", SECRET);
  const damaged = file("damaged.pem", cert.replace(/[A-Za-z0-9]{40}/, "x"));
  expect(faults({ ca: missing })).toContain(
    `far.ca: is ${missing}, which cannot be read: ENOENT; it must be a file of`,
  );
  expect(faults({ ca: directory })).toContain(`far.ca: is ${directory}, which is not a file`);
  expect(faults({ ca: "/dev/zero" })).toContain("which is not a file");
  expect(faults({ ca: file("large.pem", "x".repeat(4 * 1024 * 1024 + 1)) })).toContain("which is too large");
  expect(faults({ ca: text })).toContain(`far.ca: is ${text}, which has no certificate in PEM`);
  expect(faults({ ca: text })).not.toContain(SECRET);
  expect(faults({ ca: damaged })).toContain(`far.ca: is ${damaged}, which has a certificate that cannot be read`);
  const inCode = (ca: string): unknown =>
    resolveEnvironment("e", { sources: {}, destinations: { far: { vendor: "segment", writeKey: "k", ca } } });
  expect(inCode(good)).toMatchObject({ destinations: [{ outbound: { ca: [cert.trim()] } }] });
  expect(() => inCode(missing)).toThrow(`destinations.far.ca: is ${missing}, which cannot be read`);
});
