/** LaunchDarkly's own settings, and the page for those who come from LaunchDarkly's relay. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import type { LaunchDarklyDestination, LaunchDarklySource } from "../../src/launchdarkly/options.ts";

const PAGE = readFileSync(fileURLToPath(new URL("../../../../docs/guide/launchdarkly.md", import.meta.url)), "utf8");

interface Resolved {
  readonly source: LaunchDarklySource;
  readonly destination: LaunchDarklyDestination;
}

function resolved({
  source = {},
  destination = {},
}: {
  readonly source?: object;
  readonly destination?: object;
} = {}): Resolved {
  const text = JSON.stringify({
    environments: {
      e: {
        sources: { s: { protocol: "launchdarkly", writeKeys: ["k"], ...source } },
        destinations: { d: { vendor: "launchdarkly", writeKey: "w", ...destination } },
      },
    },
  });
  const [environment] = loadConfig({ file: "f", text, env: {} }).environments;
  return {
    source: environment?.sources[0] as LaunchDarklySource,
    destination: environment?.destinations[0] as LaunchDarklyDestination,
  };
}

test("defaults: events are taken, to disk, for LaunchDarkly's own address, users by their key, no flag data", () => {
  const { source, destination } = resolved();
  expect(source).toMatchObject({ sendEvents: true, allowedOrigins: [], allowedHeaders: [], keyless: false });
  expect(source).not.toHaveProperty("memory");
  expect(destination).toMatchObject({ inlineUsers: false, flagsFromVendor: false });
  for (const name of ["url", "mobileKey", "environmentId", "flagsFile", "flagsUrl", "eventQueueCleanupInterval"])
    expect(destination).not.toHaveProperty(name);
  expect(resolved({ source: { memory: {} } }).source.memory).toEqual({ capacity: 1_000, flushInterval: 5_000 });
});

test("eventQueueCleanupInterval is a time above 0, for launchdarkly alone", () => {
  const intervalOf = (eventQueueCleanupInterval: unknown, more: object = {}): number | undefined =>
    resolved({ destination: { eventQueueCleanupInterval, ...more } }).destination.eventQueueCleanupInterval;
  expect([intervalOf("90s"), intervalOf(10)]).toEqual([90_000, 10]);
  for (const bad of ["soon", 0, -1, true])
    expect(() => intervalOf(bad), String(bad)).toThrow("eventQueueCleanupInterval");
  expect(() => intervalOf("1h", { vendor: "letter" })).toThrow(
    "is not an option of destinations of letter; only destinations of launchdarkly have it",
  );
});

test("memory is a capacity above 0 and a flush interval", () => {
  for (const memory of [
    { capacity: 0 },
    { capacity: 1.5 },
    { flushInterval: 0 },
    { flushInterval: "often" },
    { size: 1 },
  ])
    expect(() => resolved({ source: { memory } }), JSON.stringify(memory)).toThrow("memory");
});

test("the page names settings that are there, every variable of the original, and a configuration that is right", () => {
  const settings = [...PAGE.matchAll(/`(sources|destinations)\.<name>\.([\w.]+)`/g)];
  expect(settings.length).toBeGreaterThan(12);
  const schema = readFileSync(fileURLToPath(new URL("../../config.schema.json", import.meta.url)), "utf8");
  for (const [, , path = ""] of settings) for (const name of path.split(".")) expect(schema).toContain(`"${name}": {`);
  for (const name of ["USE_EVENTS", "EVENTS_HOST", "EVENTS_FLUSH_INTERVAL", "EVENTS_CAPACITY", "EVENTS_INLINE_USERS"])
    expect(PAGE).toContain(`\`${name}\``);
  for (const name of ["ENV", "MOBILE_KEY", "CLIENT_SIDE_ID", "ALLOWED_ORIGIN", "ALLOWED_HEADER"])
    expect(PAGE).toContain(`\`LD_${name}_<name>\``);
  const yaml = /```yaml\n([\s\S]*?)```/.exec(PAGE)?.[1] as string;
  const env = { LD_ENV_PRODUCTION: "sdk-1", LD_MOBILE_KEY_PRODUCTION: "mob-1" };
  expect(loadConfig({ file: "launchdarkly.md", text: yaml, env }).environments).toMatchObject([
    { name: "production", destinations: [{ writeKey: "sdk-1", mobileKey: "mob-1", flagsFromVendor: true }] },
  ]);
});
