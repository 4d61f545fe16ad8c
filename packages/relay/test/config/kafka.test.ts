/** `engine: kafka`: its defaults, what is refused or warned of, and its secrets, never shown. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfigError, checkConfigOffline, loadConfig } from "@waybill/relay";
import { createTestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { changedSettings } from "../../src/config/settings.ts";
import { shownConfig } from "../../src/config/shown-config.ts";

type Json = Readonly<Record<string, unknown>>;

const PASSWORD = "pass-0123456789";
const BROKERS = ["kafka-1.internal:9092", "kafka-2.internal:9092"];

function textOf(kafka: Json | undefined, top: Json = {}, environments?: Json): string {
  const environment = {
    sources: { web: { protocol: "segment", writeKeys: ["k"] } },
    destinations: { crm: { vendor: "segment", writeKey: "x" } },
  };
  return JSON.stringify({ engine: "kafka", kafka, ...top, environments: environments ?? { production: environment } });
}

function load(kafka: Json | undefined, top: Json = {}, environments?: Json): ReturnType<typeof loadConfig> {
  return loadConfig({ file: "f", text: textOf(kafka, top, environments), env: {} });
}

function faultsOf(kafka: Json | undefined, top: Json = {}, environments?: Json): string {
  try {
    load(kafka, top, environments);
  } catch (error) {
    expect(error).toMatchObject({ code: "WAYBILL_CONFIG" });
    return (error as ConfigError).message;
  }
  return "";
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), "waybill-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

test("without a word about it the log is on the disk", () => {
  expect(load(undefined, { engine: undefined }).kafka).toBeUndefined();
  expect(load(undefined, { engine: "disk" }).kafka).toBeUndefined();
});

test("what is not set has a default that is safe", () => {
  expect(load({ brokers: BROKERS })).toMatchObject({
    kafka: {
      brokers: BROKERS,
      topicPrefix: "waybill",
      partitions: 12,
      replicationFactor: 3,
      minInSyncReplicas: 2,
      clientId: "waybill",
    },
  });
  const { kafka, warnings = [] } = load({ brokers: BROKERS });
  expect(kafka).not.toHaveProperty("tls");
  expect(kafka).not.toHaveProperty("sasl");
  expect(warnings).toEqual([]);
  expect(load({ brokers: BROKERS, tls: true }).kafka?.tls).toEqual({});
  expect(load({ brokers: BROKERS, replicationFactor: 1 }).kafka?.minInSyncReplicas).toBe(1);
});

test.each<[string, Json | undefined, Json, string]>([
  ["no cluster", undefined, {}, "engine: is kafka, and there is no kafka.brokers"],
  ["a cluster that is not used", { brokers: BROKERS }, { engine: "disk" }, "kafka: is there, and engine is disk"],
  ["no brokers", { brokers: [] }, {}, "kafka.brokers"],
  ["a broker without a port", { brokers: ["kafka"] }, {}, 'kafka.brokers.0: is "kafka"; it must be the address'],
  ["a broker at port 0", { brokers: ["kafka:0"] }, {}, "it must be the address of a broker"],
  ["a broker twice", { brokers: ["k:1", "k:1"] }, {}, "kafka.brokers.1: is k:1, which is there twice"],
  [
    "more in sync than there are",
    { brokers: BROKERS, replicationFactor: 2, minInSyncReplicas: 3 },
    {},
    "kafka.minInSyncReplicas: is above kafka.replicationFactor",
  ],
  ["no partitions", { brokers: BROKERS, partitions: 0 }, {}, "kafka.partitions"],
  ["a prefix that Kafka refuses", { brokers: BROKERS, topicPrefix: "way bill" }, {}, "it must be of ASCII letters"],
  ["an unknown mechanism", { brokers: BROKERS, sasl: { mechanism: "gssapi" } }, {}, "kafka.sasl.mechanism"],
  ["an unknown key", { brokers: BROKERS, acks: 1 }, {}, "kafka.acks"],
  ["tls: false", { brokers: BROKERS, tls: false }, {}, "kafka.tls"],
  [
    "a certificate without its key",
    { brokers: BROKERS, tls: { cert: "/none" } },
    {},
    "kafka.tls.cert: needs a kafka.tls.key",
  ],
  [
    "a file that is missing",
    { brokers: BROKERS, tls: { ca: "/none" } },
    {},
    "kafka.tls.ca: is /none, which cannot be read",
  ],
  ["an engine of another name", { brokers: BROKERS }, { engine: "redis" }, "engine"],
])("%s is refused", (_what, kafka, top, message) => {
  expect(faultsOf(kafka, top)).toContain(message);
});

test("names whose topics Kafka would take for one are refused", () => {
  const environment = (...destinations: readonly string[]): Json => ({
    sources: { web: { protocol: "segment", writeKeys: [`k${destinations.join("")}`] } },
    destinations: Object.fromEntries(destinations.map((name) => [name, { vendor: "segment", writeKey: "x" }])),
  });
  expect(faultsOf({ brokers: BROKERS }, {}, { a: environment("b_c"), a_b: environment("c") })).toContain(
    "environments.a_b.destinations.c: has the topic waybill.a_b.c.dead, which Kafka takes for waybill.a.b_c.dead of a/b_c",
  );
  expect(faultsOf({ brokers: BROKERS }, {}, { a: environment("b_c"), b: environment("c") })).toBe("");
});

test.each<[string, Json, string | undefined]>([
  ["one replica", { replicationFactor: 1 }, "the loss of one broker loses what was accepted"],
  ["one in sync", { minInSyncReplicas: 1 }, "what a broker accepted while it was alone is lost with it"],
  ["all in sync", { minInSyncReplicas: 3 }, "while one broker is away nothing is accepted"],
  ["a password in clear text", { sasl: { mechanism: "plain", username: "u", password: PASSWORD } }, "in clear text"],
  ["a password under TLS", { tls: true, sasl: { mechanism: "plain", username: "u", password: PASSWORD } }, undefined],
  ["a hashed password", { sasl: { mechanism: "scram-sha-512", username: "u", password: PASSWORD } }, undefined],
])("%s is warned of", (_what, kafka, message) => {
  const { warnings = [] } = load({ brokers: BROKERS, ...kafka });
  expect(warnings).toEqual(message === undefined ? [] : [expect.stringContaining(message)]);
});

test("a certificate of another key is refused, and one that belongs to it is taken", () => {
  const path = directory();
  const ca = createTestCa();
  const [one, other] = [ca.issue("relay"), ca.issue("other")];
  writeFileSync(join(path, "ca.crt"), ca.cert);
  writeFileSync(join(path, "tls.crt"), one.cert);
  writeFileSync(join(path, "tls.key"), one.key);
  writeFileSync(join(path, "other.key"), other.key);
  const files = { ca: join(path, "ca.crt"), cert: join(path, "tls.crt"), key: join(path, "tls.key") };
  expect(load({ brokers: BROKERS, tls: files }).kafka?.tls).toEqual(files);
  expect(faultsOf({ brokers: BROKERS, tls: { ...files, key: join(path, "other.key") } })).toContain(
    "is not the key of the certificate",
  );
  expect(faultsOf({ brokers: BROKERS, tls: { ...files, ca: files.key } })).toContain("kafka.tls.ca: is ");
});

test("the password comes by a reference, and is shown nowhere", () => {
  const path = join(directory(), "password");
  writeFileSync(path, `${PASSWORD}\n`);
  for (const password of ["${KAFKA_PASSWORD}", `\${file:${path}}`]) {
    const sasl = { mechanism: "scram-sha-512", username: "waybill", password };
    const text = textOf({ brokers: BROKERS, tls: true, sasl });
    const config = loadConfig({ file: "f", text, env: { KAFKA_PASSWORD: PASSWORD } });
    expect(config.kafka?.sasl?.password).toBe(PASSWORD);
    const shown = JSON.stringify(shownConfig(config));
    expect(shown).not.toContain(PASSWORD);
    expect(shown).toContain('"username":"waybill","password":"(secret)"');
  }
  const sasl = { mechanism: "scram-sha-512", username: "u", password: [PASSWORD] };
  expect(faultsOf({ brokers: BROKERS, sasl })).toMatch(/kafka\.sasl\.password/);
  expect(faultsOf({ brokers: BROKERS, sasl })).not.toContain(PASSWORD);
});

test("it is checked without its secrets and files", () => {
  const kafka = {
    brokers: BROKERS,
    tls: { ca: "/run/none/ca.crt" },
    sasl: { mechanism: "plain", username: "u", password: "${KAFKA_PASSWORD}" },
  };
  const { config, notChecked } = checkConfigOffline({ file: "f", text: textOf(kafka), env: {} });
  expect(config?.kafka?.brokers).toEqual(BROKERS);
  expect(notChecked.join("\n")).toMatch(/KAFKA_PASSWORD.*\n.*ca\.crt/);
});

test("the sealing key comes by a reference, is long, and is shown nowhere", () => {
  const SEALING_KEY = "0123456789abcdef0123456789abcdef";
  const kafka = { brokers: BROKERS, sealingKey: "${SEALING_KEY}", advertise: "http://relay-1.internal:8081" };
  const config = loadConfig({ file: "f", text: textOf(kafka), env: { SEALING_KEY } });
  expect(config.kafka).toMatchObject({ sealingKey: SEALING_KEY, advertise: kafka.advertise });
  const shown = JSON.stringify(shownConfig(config));
  expect([shown.includes(SEALING_KEY), shown.includes("sealingKey"), shown.includes("relay-1")]).toEqual([
    false,
    true,
    true,
  ]);
  const short = faultsOf({ brokers: BROKERS, sealingKey: "swordfish-swordfish" });
  expect(short).toContain("kafka.sealingKey");
  expect(short).not.toContain("swordfish");
  for (const advertise of ["relay-1:8081", "ftp://relay-1", "http://admin:swordfish@relay-1"]) {
    const fault = faultsOf({ brokers: BROKERS, advertise });
    expect([fault.includes("kafka.advertise"), fault.includes("swordfish")]).toEqual([true, false]);
  }
});

test("any change of it takes a restart", () => {
  const before = load({ brokers: BROKERS });
  const changes = (after: ReturnType<typeof load>): readonly string[] => changedSettings(before, after, "restart");
  expect(changes(load({ brokers: BROKERS }))).toEqual([]);
  expect(changes(load({ brokers: BROKERS, partitions: 24 }))).toEqual(["kafka"]);
  expect(changes(load(undefined, { engine: "disk" }))).toEqual(["engine", "kafka"]);
});

test("callers who want a vendor's own answer need relays that reach each other, and a warning says so", () => {
  const game = {
    sources: { game: { protocol: "trophy", writeKeys: ["k"] } },
    destinations: { game: { vendor: "trophy", writeKey: "x" } },
  };
  const warningsOf = (kafka: Json): readonly string[] => load(kafka, {}, { production: game }).warnings ?? [];
  const message = "has no advertise: callers who want Trophy's own answer";
  expect(warningsOf({ brokers: BROKERS })).toEqual([expect.stringContaining(message)]);
  expect(warningsOf({ brokers: BROKERS, advertise: "http://relay-1:8081" })).toEqual([]);
});
