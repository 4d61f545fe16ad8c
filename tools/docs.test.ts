import { readFileSync } from "node:fs";
import { loadConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import { conformancePage, LISTS, missing, SEEDS, shownBy } from "./conformance.ts";
import { PAGES, pathOf } from "./generate-docs.ts";

test.each(Object.entries(PAGES))("%s is what the code says; otherwise run npm run docs", (page, make) => {
  expect(readFileSync(pathOf(page), "utf8")).toBe(make());
});

test("each item of each conformance list has a test", () => {
  for (const list of LISTS) {
    const shown = new Set(shownBy(list).flatMap(({ number }) => number.split(" and ")));
    expect(
      list.items.filter((item) => !shown.has(item)),
      list.vendor,
    ).toEqual([]);
  }
});

test.each(SEEDS)("the comparison with $system names code and tests that exist", (seed) => {
  expect(missing(seed)).toEqual([]);
});

test("no title of the conformance page has a placeholder in it", () => {
  expect(conformancePage().match(/%[sdifjo]\b/g) ?? []).toEqual([]);
});

test("the schema's defaults are those the relay uses", () => {
  const text =
    "environments: { e: { sources: { s: { protocol: segment, writeKeys: [k] }, l: { protocol: launchdarkly, writeKeys: [l], memory: {} } }, destinations: { d: { vendor: segment, writeKey: k }, f: { vendor: file, path: x }, h: { vendor: http, url: http://h.test/ } } } }";
  const explicit = text
    .replace("url: http://h.test/", "url: http://h.test/, headers: {}, format: ndjson")
    .replace(
      "path: x",
      "path: x, rotateBytes: 100MiB, rotateAfter: 24h, timeout: 10s, backoff: { base: 500ms, max: 60s }, batch: { linger: 20ms }, retry: { giveUpAfter: 1h }, maxInFlight: 64",
    )
    .replace("writeKeys: [k] }", "writeKeys: [k], keyless: false }")
    .replace("memory: {}", "sendEvents: true, memory: { capacity: 1000, flushInterval: 5s }");
  const top =
    "listen: 0.0.0.0:8080\ndataDirectory: ./waybill-data\nengine: disk\nlog: { level: info }\nadmin: { listen: 127.0.0.1:8081 }\nlimits: { maxConnections: 8192, headersTimeout: 10s, requestTimeout: 60s }\n" +
    "compat: { strict: false }\nretention: { maxAge: 7d, maxBytes: 10GiB, hardMaxBytes: 20GiB }\nshutdown: { deadline: 20s }\npermissions: { files: '0600', directories: '0700' }\ndedupe: { window: 24h, maxIds: 1000000 }\nnetwork: { allowPrivateAddresses: false }\nexchange: { deadline: 10s }\n";
  const [page = ""] = readFileSync(pathOf("docs/operating/config.md"), "utf8").split("## Variables");
  // Vendors' own options are tried where the vendors are.
  const common = page.replaceAll(/^### (?:protocol|vendor): (?!launchdarkly|http|file)[^]*?(?=^##)/gm, "");
  const stated = [...common.matchAll(/^\| `[^`]+` \| `([^`]+)` \|/gm)].map((match) => match[1] as string);
  expect(stated.length).toBeGreaterThan(20);
  const brokers = "brokers: ['k:1']";
  const kafka = `{ ${brokers}, topicPrefix: waybill, partitions: 12, replicationFactor: 3, clientId: waybill }`;
  for (const value of stated) expect(`${top}${kafka}${explicit}`).toContain(value);
  const onKafka = (given: string): object =>
    loadConfig({ file: "f", text: `engine: kafka\nkafka: ${given}\n${text}`, env: {} });
  expect(onKafka(kafka)).toEqual(onKafka(`{ ${brokers} }`));
  expect(loadConfig({ file: "f", text: top + explicit, env: {} })).toEqual(loadConfig({ file: "f", text, env: {} }));
});

test("the README's configuration is a right one", () => {
  const readme = readFileSync(pathOf("README.md"), "utf8");
  const yaml = /```yaml\n([\s\S]*?)```/.exec(readme)?.[1] as string;
  expect(loadConfig({ file: "README.md", text: yaml, env: { SEGMENT_WRITE_KEY: "k" } }).environments).toHaveLength(1);
});
