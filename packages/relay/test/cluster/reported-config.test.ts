/** What a relay reports of its configuration. */
import { loadConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import { reportedConfigOf } from "../../src/cluster/reported-config.ts";

function reportedOf(count: number): ReturnType<typeof reportedConfigOf> {
  const destinations = Object.fromEntries(
    Array.from({ length: count }, (_, number) => [`crm${number}`, { vendor: "segment", writeKey: "x" }]),
  );
  const sources = { web: { protocol: "segment", writeKeys: ["k"] } };
  const kafka = { brokers: ["kafka-1.internal:9092"] };
  const text = JSON.stringify({ engine: "kafka", kafka, environments: { production: { sources, destinations } } });
  return reportedConfigOf(loadConfig({ file: "f", text, env: {} }));
}

test("it names its destinations, up to 1,000 of them", () => {
  expect(reportedOf(2).destinations).toEqual(["production/crm0", "production/crm1"]);
  expect(reportedOf(1_000).destinations).toHaveLength(1_000);
  expect(reportedOf(1_001)).toEqual({ configDigest: expect.stringMatching(/^[0-9a-f]{12}$/) });
});
