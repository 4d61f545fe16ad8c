import { type ConfigError, loadConfig } from "@waybill/relay";
import { ADAPTERS, VENDORS } from "@waybill/vendors/registry";
import { expect, test } from "vitest";

const GOOD = `# a comment
listen: 127.0.0.1:0
environments:
  production:
    sources:
      web: { protocol: segment, writeKeys: [abc] }
    destinations:
      warehouse:
        vendor: segment
        url: https://example.test/
        writeKey: "\${SEGMENT_KEY}"
`;

/** As a message names several. */
function listed(names: readonly string[]): string {
  return new Intl.ListFormat("en-GB").format(names);
}

function faults(text: string, env: Record<string, string> = { SEGMENT_KEY: "secret" }): string[] {
  try {
    loadConfig({ file: "waybill.yaml", text, env });
  } catch (error) {
    return (error as ConfigError).message.split("\n");
  }
  return [];
}

test("a short file gets every default", () => {
  const config = loadConfig({ file: "waybill.yaml", text: GOOD, env: { SEGMENT_KEY: "secret" } });
  expect(config).toEqual({
    listen: { host: "127.0.0.1", port: 0 },
    dataDirectory: "./waybill-data",
    logLevel: "info",
    admin: { host: "127.0.0.1", port: 8081 },
    maxConnections: 8_192,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 60_000,
    strict: false,
    retention: { maxAgeMs: 7 * 86_400_000, maxBytes: 10 * 1024 ** 3, hardMaxBytes: 20 * 1024 ** 3 },
    allowPrivateAddresses: false,
    exchangeDeadlineMs: 10_000,
    shutdownDeadlineMs: 20_000,
    permissions: { fileMode: 0o600, directoryMode: 0o700 },
    dedupe: { windowMs: 86_400_000, maxIds: 1_000_000 },
    environments: [
      {
        name: "production",
        sources: [
          {
            name: "web",
            protocol: "segment",
            keys: [{ key: "abc", kind: "" }],
            hosts: [],
            keyless: false,
          },
        ],
        destinations: [
          {
            name: "warehouse",
            vendor: "segment",
            url: "https://example.test",
            writeKey: "secret",
            timeoutMs: 10_000,
            backoffBaseMs: 500,
            backoffMaxMs: 60_000,
            lingerMs: 20,
            giveUpAfterMs: 3_600_000,
            maxInFlight: 64,
            order: "user",
            events: {},
            redact: [],
          },
        ],
      },
    ],
  });
});

test("every fault is reported at once, in order, with file, line, path and hint", () => {
  const text = `listn: 127.0.0.1:0
limits: { bodyMaxBytes: 10Mib }
environments:
  production:
    sources:
      web: { protocol: segmet, writeKeys: [abc] }
      Upper: { protocol: segment, writeKeys: [] }
    destinations:
      warehouse: { vendor: segment, writeKy: x, timeout: soon }
`;
  expect(faults(text)).toEqual([
    'waybill.yaml:1:1 listn: unknown key; did you mean "listen"?',
    'waybill.yaml:2:25 limits.bodyMaxBytes: is "10Mib"; it must be a whole number of bytes or a text with a unit; for example 5MiB',
    `waybill.yaml:6:24 environments.production.sources.web.protocol: is "segmet"; it must be one of ${VENDORS.join(", ")}; did you mean "segment"?`,
    "waybill.yaml:7:7 environments.production.sources.Upper: is not a valid name; a name has 1 to 63 lower-case letters, digits, - and _, and begins with a letter or digit",
    "waybill.yaml:7:46 environments.production.sources.Upper.writeKeys: is an empty list",
    "waybill.yaml:9:18 environments.production.destinations.warehouse.writeKey: is required; The vendor's key: write key, API key, token or SDK key. Take it from the environment: ${SEGMENT_WRITE_KEY}.",
    'waybill.yaml:9:37 environments.production.destinations.warehouse.writeKy: unknown key; did you mean "writeKey"?',
    'waybill.yaml:9:58 environments.production.destinations.warehouse.timeout: is "soon"; it must be a whole number of ms or a text with a unit; for example 5s',
  ]);
});

test("an alias without its anchor, and a bomb of aliases, are faults", () => {
  expect(faults("listen: *nowhere\nenvironments: {}")[0]).toContain("Unresolved alias");
  const bomb = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (const [from, to] of ["ab", "bc", "cd", "de", "ef", "fg"])
    bomb.push(`${to}: &${to} [${new Array(9).fill(`*${from}`).join(", ")}]`);
  expect(faults(bomb.join("\n"))[0]).toContain("Excessive alias count");
});

test("values are checked one by one, with what is wrong in each", () => {
  const keyless = ADAPTERS.filter(({ config }) => config.hasKeyAlways !== true).map(({ name }) => name);
  const text = `listen: nowhere
environments:
  a:
    sources:
      web: { protocol: segment, writeKeys: [k] }
      flags: { protocol: launchdarkly, writeKeys: [l], keyless: true }
    destinations:
      x: { vendor: segment, writeKey: k, url: "ftp://x", backoff: { max: 2m }, path: /x }
      y: { vendor: file, writeKey: k }
      z: { vendor: letter, filter: { sources: [web] } }
      v: { vendor: trophy, writeKey: k, flagsFile: /x, timeout: 1.5, redact: {} }
`;
  expect(faults(text).map((line) => line.replace(/^.*?(?:destinations|sources)\./, ""))).toEqual([
    'waybill.yaml:1:9 listen: is "nowhere"; it must be an address; for example 127.0.0.1:8080 or [::]:8080',
    `flags.keyless: is not an option of sources of launchdarkly; sources of ${listed(keyless)} have it`,
    'x.url: is "ftp://x"; it must be an http or https URL; for example https://api.segment.io',
    'x.backoff.max: is "2m"; it must be from 1 to 60000 ms; for example 30s',
    "x.path: is not an option of destinations of segment; only destinations of file have it",
    "y.path: is required; The file that events are appended to, a line each, such as /var/log/events.ndjson. A full file is renamed with the time at which it began.",
    `y.writeKey: is not an option of destinations of file; destinations of ${listed(VENDORS)} have it`,
    "z.writeKey: is required; The vendor's key: write key, API key, token or SDK key. Take it from the environment: ${SEGMENT_WRITE_KEY}.",
    "z.filter.sources: unknown key; sources is an option of the destination itself, beside filter: sources: [web]",
    "v.flagsFile: is not an option of destinations of trophy; only destinations of launchdarkly have it",
    "v.timeout: is 1.5; it must be a whole number of ms or a text with a unit; for example 5s",
    "v.redact: is a map; it must be a list; for example properties.email",
  ]);
});

test("what must hold between the parts is checked too", () => {
  const text = `limits: { headersTimeout: 61s }
retention: { maxBytes: 10GiB, hardMaxBytes: 1GiB }
environments:
  a:
    sources:
      web: { protocol: segment, writeKeys: [same], prefix: /eu, hosts: [a.example.com, b.example.com] }
    destinations:
      x: { vendor: segment, writeKey: k, sources: [web, wob, elsewhere] }
  b:
    sources:
      web: { protocol: segment, writeKeys: [same] }
      other: { protocol: letter, writeKeys: [{ key: same }, more], prefix: /eu, hosts: [b.example.com] }
    destinations:
      x: { vendor: segment, writeKey: k, sources: [other] }
`;
  expect(faults(text).map((line) => line.replace(/^\S+ /, ""))).toEqual([
    "limits.headersTimeout: is above limits.requestTimeout; the headers are a part of the request",
    "retention.hardMaxBytes: is below retention.maxBytes; the hard limit comes after the soft one",
    'environments.a.destinations.x.sources.1: is "wob", which is not a source of this environment; did you mean "web"?',
    'environments.a.destinations.x.sources.2: is "elsewhere", which is not a source of this environment; its sources: web',
    "environments.b.sources.web.writeKeys.0: is a key of a/web too; a key belongs to one source only",
    "environments.b.sources.other.writeKeys.0: is a key of b/web too; a key belongs to one source only",
    "environments.b.sources.other.prefix: is /eu, which is the prefix of a/web too; give one of them another prefix",
    "environments.b.sources.other.hosts.0: is b.example.com, which is a host of a/web too",
  ]);
});

test("permissions are octal texts that leave the owner its rights", () => {
  const modes = (files: string, directories: string): string[] =>
    faults(
      `permissions: { files: ${files}, directories: ${directories} }\n${GOOD.replace("listen: 127.0.0.1:0\n", "")}`,
    );
  expect(modes('"0640"', '"750"')).toEqual([]);
  expect(modes('"0440"', '"0600"').join()).toMatch(/owner could not read and write.*owner would not have all rights/);
  for (const wrong of ["0640", '"rw"', '"0888"', '"06400"', "-1", "null"])
    expect(modes(wrong, '"0700"').join()).toContain("permissions.files");
});

test("a missing variable is a fault at its line; a default and an escape are taken", () => {
  expect(faults(GOOD, { SEGMENT_KEYS: "x" })).toEqual([
    "waybill.yaml:11:19: the environment has no SEGMENT_KEY; did you mean ${SEGMENT_KEYS}?",
  ]);
  const text = GOOD.replace("${SEGMENT_KEY}", () => "${MISSING:-fallback}-$${literal}");
  expect(loadConfig({ file: "f", text, env: {} }).environments[0]?.destinations[0]?.writeKey).toBe(
    "fallback-${literal}",
  );
});

test("an unknown WAYBILL_ variable is a warning with the nearest name, and stops nothing", () => {
  const warnings = (env: Record<string, string>): readonly string[] | undefined =>
    loadConfig({ file: "f", text: GOOD, env: { SEGMENT_KEY: "k", ...env } }).warnings;
  expect(warnings({ WAYBILL_LISTN: "x" })).toEqual([
    "environment WAYBILL_LISTN: unknown variable, which has no effect; did you mean WAYBILL_LISTEN?",
  ]);
  // A port, as somebody may mean it; a URL is of Kubernetes.
  expect(warnings({ WAYBILL_PORT: "8080" })?.[0]).toContain("environment WAYBILL_PORT: unknown variable");
  const ofTheCommand = { WAYBILL_WRITE_KEY: "k", WAYBILL_CONFIG: "f", WAYBILL_CA: "f", WAYBILL_ADMIN_URL: "u" };
  expect(warnings(ofTheCommand)).toBeUndefined();
});

test("what Kubernetes makes of a Service called waybill is ignored", () => {
  const env = {
    SEGMENT_KEY: "k",
    WAYBILL_SERVICE_HOST: "10.0.171.239",
    WAYBILL_SERVICE_PORT: "8080",
    WAYBILL_SERVICE_PORT_INTAKE: "8080",
    WAYBILL_PORT: "tcp://10.0.171.239:8080",
    WAYBILL_PORT_8080_TCP: "tcp://10.0.171.239:8080",
    WAYBILL_PORT_8080_TCP_PROTO: "tcp",
    WAYBILL_PORT_8080_TCP_PORT: "8080",
    WAYBILL_PORT_8080_TCP_ADDR: "10.0.171.239",
    WAYBILL_ADMIN_SERVICE_HOST: "10.0.171.240",
    WAYBILL_ADMIN_PORT: "tcp://10.0.171.240:8081",
    WAYBILL_ADMIN_PORT_8081_TCP_ADDR: "10.0.171.240",
  };
  const config = loadConfig({ file: "f", text: GOOD, env });
  expect(config.warnings).toBeUndefined();
  expect(config).toMatchObject({ listen: { port: 0 }, admin: { host: "127.0.0.1", port: 8081 } });
});

test("known variables override the file; those the file names are known", () => {
  const env = {
    WAYBILL_KEY: "from-env",
    WAYBILL_LISTEN: "0.0.0.0:99",
    WAYBILL_ADMIN_TOKEN: "token-token",
    WAYBILL_LOG_LEVEL: "debug",
  };
  const config = loadConfig({ file: "f", text: GOOD.replace("SEGMENT_KEY", "WAYBILL_KEY"), env });
  expect(config).toMatchObject({ listen: { port: 99 }, admin: { token: "token-token" }, logLevel: "debug" });
  expect(config.environments[0]?.destinations[0]?.writeKey).toBe("from-env");
});

test("what is not YAML is reported with its line; an unquoted reference gets its hint", () => {
  expect(faults("listen: [1\nenvironments: {")[0]).toMatch(/^waybill\.yaml:2:\d+/);
  expect(faults("environments: { a: ${X}, b: 1 }").join("\n")).toContain('put quotes around a reference: "${NAME}"');
  expect(faults("a: 1\na: 2").join("\n")).toContain("waybill.yaml:2:1: Map keys must be unique");
});
