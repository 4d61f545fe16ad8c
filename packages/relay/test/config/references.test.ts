/** `${file:PATH}` beside `${NAME}`: what it takes, what is a fault, and what is never shown. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfigError, checkConfigOffline, loadConfig, type RelayConfig } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { shownConfig } from "../../src/config/shown-config.ts";
import { JSON_TYPE, send, startWorld } from "../lib/world.ts";

const SECRET = "a-secret-of-a-file";

function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-secrets-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

function secretFile(content: string | Buffer): string {
  const path = join(folder(), "secret");
  writeFileSync(path, content);
  return path;
}

const withKey = (key: string, more = ""): string => `environments:
  production:
    sources:
      web: { protocol: segment, writeKeys: [abc] }
    destinations:
      warehouse:
        vendor: segment
        url: https://example.test/
        writeKey: "${key}"
${more}`;

function load(text: string, env: Record<string, string> = {}): RelayConfig {
  return loadConfig({ file: "waybill.yaml", text, env });
}

function faults(text: string, env: Record<string, string> = {}): string {
  try {
    load(text, env);
  } catch (error) {
    return (error as ConfigError).message;
  }
  return "";
}

const writeKey = ({ environments }: RelayConfig): string | undefined => environments[0]?.destinations[0]?.writeKey;

test.each([
  ["without the end of its line", "key\n", "key"],
  ["without the end of a line of Windows", "key\r\n", "key"],
  ["with what would be YAML or a reference", `{a:"\${B}#\n`, `{a:"\${B}#`],
])("a reference to a file takes its text %s", (_name, content, value) => {
  const path = secretFile(content);
  expect(writeKey(load(withKey(`\${file:${path}}`)))).toBe(value);
  expect(writeKey(load(withKey(`a-\${file:${path}}-\${B}`), { B: "b" }))).toBe(`a-${value}-b`);
});

test("of several ends of lines one is taken off, and a key with another one is a fault", () => {
  expect(faults(withKey(`\${file:${secretFile("key\n\n")}}`))).toContain("writeKey: ends in a line break");
});

test("a file that cannot be taken is a fault with its line, its column and its path", () => {
  const directory = folder();
  const at = "waybill.yaml:9:19: ";
  const fault = (path: string): string => faults(withKey(`\${file:${path}}`));
  expect(fault(`${directory}/missing`)).toBe(`${at}there is no file ${directory}/missing`);
  expect(fault(`${directory}/missing/too`)).toBe(`${at}there is no file ${directory}/missing/too`);
  mkdirSync(`${directory}/folder`);
  const hint = "it must be a file of one value that the relay may read";
  expect(fault(`${directory}/folder`)).toBe(`${at}${directory}/folder is a directory; ${hint}`);
  expect(fault("/dev/zero")).toBe(`${at}/dev/zero is not a file; ${hint}`);
  const large = secretFile("x".repeat(64 * 1_024 + 1));
  expect(fault(large)).toBe(`${at}${large} has more than 65536 bytes; ${hint}`);
  const empty = secretFile("\n");
  expect(fault(empty)).toBe(`${at}${empty} is empty; ${hint}`);
  const bytes = secretFile(Buffer.from([0xff, 0xfe, 0x00]));
  expect(fault(bytes)).toBe(`${at}${bytes} is not a text in UTF-8; ${hint}`);
  expect(fault("")).toBe(`${at}a reference to a file must be \${file:PATH}`);
  expect(fault("/proc/self/mem")).toContain(`${at}/proc/self/mem`);
});

test("no fault and no warning quotes what a file has, whatever value it is", () => {
  const path = secretFile(`${SECRET}\n`);
  const reference = `\${file:${path}}`;
  const text = withKey(
    "k",
    `        ca: "${reference}"
        redact: ["x[${reference}]"]
        order: "${reference}"
        timeout: "${reference}"
listen: "${reference}"
compat: { strict: "${reference}" }
log: { level: "${reference}" }
`,
  );
  const found = faults(text);
  expect(found).toContain("waybill.yaml:12:16");
  expect(found).not.toContain(SECRET);
  const late = faults(withKey("k", `        ca: "${reference}"\n        sources: ["${reference}"]`));
  expect(late).toContain("is (a value from a file), which cannot be read");
  expect(late).not.toContain(SECRET);
  const { warnings = [] } = load(withKey("k", `        redact: ["x[${reference}]"]`));
  expect(warnings).toHaveLength(1);
  expect(warnings.join()).not.toContain(SECRET);
});

test("what a file has is not in the configuration as it is shown, also where no secret is meant", () => {
  const path = secretFile(`${SECRET}\n`);
  const config = load(
    withKey(`\${file:${path}}`, `        url: "https://\${file:${path}}.test/x"\n`).replace(
      "        url: https://example.test/\n",
      "",
    ) + `dataDirectory: "/data/\${file:${path}}"\n`,
  );
  expect(writeKey(config)).toBe(SECRET);
  const text = JSON.stringify(shownConfig(config));
  expect(text).not.toContain(SECRET);
  expect(text).toContain('"dataDirectory":"(secret)"');
});

test("a reload takes the file's new text, and no answer of the admin API has it", async () => {
  const path = secretFile(`${SECRET}-1\n`);
  const config = (world: { directory: string; url: string }): RelayConfig =>
    load(
      JSON.stringify({
        listen: "127.0.0.1:0",
        dataDirectory: `${world.directory}/data`,
        admin: { listen: "127.0.0.1:0" },
        shutdown: { deadline: "2s" },
        network: { allowPrivateAddresses: true },
        environments: {
          test: {
            sources: { web: { protocol: "segment", writeKeys: [`\${file:${path}}`] } },
            destinations: { emulator: { vendor: "segment", url: world.url, writeKey: `\${file:${path}}` } },
          },
        },
      }),
    );
  const world = await startWorld({
    reloadConfig: async () => config({ directory: world.directory, url: world.server.url }),
  });
  const { intakeUrl, adminUrl } = world.relay;
  const post = (key: string): Promise<{ status: number }> =>
    send(
      intakeUrl,
      "POST",
      "/v1/batch",
      { batch: [{ type: "track", userId: "u", event: "E", messageId: key }] },
      { authorization: `Basic ${btoa(`${key}:`)}` },
    );
  for (const number of [1, 2]) {
    writeFileSync(path, `${SECRET}-${number}\n`);
    expect((await send(adminUrl, "POST", "/v1/reload", "", JSON_TYPE)).json).toMatchObject({ ok: true });
    expect((await post(`${SECRET}-${number}`)).status).toBe(200);
  }
  expect((await post(`${SECRET}-1`)).status).toBe(401);
  expect((await send(adminUrl, "GET", "/v1/config", "", {})).text).not.toContain(SECRET);
});

const OFFLINE = `listen: "\${LISTEN}"
admin: { token: "\${file:/nowhere/token}" }
limits: { headersTimeout: "\${TIMEOUT}", maxConnections: "\${CONNECTIONS}", bodyMaxBytes: "\${BYTES}" }
compat: { strict: "\${STRICT}" }
log: { level: "\${LEVEL:-warn}" }
environments:
  production:
    sources:
      web: { protocol: segment, writeKeys: ["\${WEB_KEY}", { key: "\${OTHER_KEY}", expires: "2099-01-01T00:00:00Z" }] }
      app: { protocol: letter, writeKeys: ["\${WEB_KEY}"] }
    destinations:
      far: { vendor: segment, url: "\${URL}", writeKey: "\${KEY}", ca: /nowhere/ca.pem, maxInFlight: "\${MANY}" }
      near: { vendor: http, url: "https://\${HOST}/hook", headers: { authorization: "Bearer \${TOKEN}" } }
`;

test("offline, missing variables and files are named and do no harm", () => {
  const { config, notChecked } = checkConfigOffline({ file: "waybill.yaml", text: OFFLINE, env: { KEY: "k" } });
  expect(notChecked).toEqual([
    "waybill.yaml:1:9: the variable LISTEN is not set",
    "waybill.yaml:2:17: the file /nowhere/token does not exist",
    "waybill.yaml:3:27: the variable TIMEOUT is not set",
    "waybill.yaml:3:57: the variable CONNECTIONS is not set",
    "waybill.yaml:3:89: the variable BYTES is not set",
    "waybill.yaml:4:19: the variable STRICT is not set",
    "waybill.yaml:9:45: the variable WEB_KEY is not set",
    "waybill.yaml:9:66: the variable OTHER_KEY is not set",
    "waybill.yaml:10:44: the variable WEB_KEY is not set",
    "waybill.yaml:12:36: the variable URL is not set",
    "waybill.yaml:12:100: the variable MANY is not set",
    "waybill.yaml:13:34: the variable HOST is not set",
    "waybill.yaml:13:84: the variable TOKEN is not set",
    "waybill.yaml: the file /nowhere/ca.pem does not exist",
  ]);
  expect(config?.environments[0]?.destinations).toHaveLength(2);
  expect(faults(OFFLINE)).toContain("the environment has no WEB_KEY");
});

test("offline, what the file itself has wrong is still a fault", () => {
  const check = (text: string): string => {
    try {
      checkConfigOffline({ file: "f", text, env: {} });
    } catch (error) {
      return (error as ConfigError).message;
    }
    return "";
  };
  expect(check(OFFLINE.replace("vendor: http", "vendor: htp"))).toContain("vendor");
  expect(check(OFFLINE.replace("expires:", "expire:"))).toContain("expire");
  expect(check(`${OFFLINE}retention: { maxBytes: 2GiB, hardMaxBytes: 1GiB }\n`)).toContain("is below");
  expect(check(OFFLINE.replace("https://${HOST}", "ftp://${HOST}"))).toBe("");
  expect(check(withKey("${not valid}"))).toContain("a reference must be");
  expect(check(withKey(`\${file:${folder()}}`))).toContain("is a directory");
});
