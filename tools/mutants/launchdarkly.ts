import type { Mutant } from "./mutant.ts";

const VENDOR = "packages/vendors/src/launchdarkly";
const CLIENT = "packages/client/src/launchdarkly";
const RELAY = "packages/relay/src";
const PUBLISHER_TESTS = ["packages/client/test/vendors/launchdarkly.test.ts"];
const DISPATCHER_TESTS = ["packages/client/test/vendors/launchdarkly-dispatcher.test.ts"];
const MEMORY_TESTS = ["packages/relay/test/launchdarkly/memory-relay.test.ts"];
const SUMMARIES_TESTS = ["packages/relay/test/launchdarkly/summaries.test.ts"];
const OPTIONS_TESTS = ["packages/relay/test/launchdarkly/options.test.ts"];
const RELOAD_TESTS = ["packages/relay/test/lifecycle/reload.heavy.test.ts"];
const SUMMARISE_TESTS = ["packages/vendors/test/launchdarkly/summarise.test.ts"];
const INBOUND_TESTS = ["packages/vendors/test/inbound/inbound.test.ts"];

export const LAUNCHDARKLY: readonly Mutant[] = [
  {
    name: "launchdarkly: an empty metadata says schema 3",
    file: `${VENDOR}/outbound.ts`,
    find: "String(schemaVersion === UNKNOWN ? SCHEMA_SENT : schemaVersion)",
    replace: "String(schemaVersion === UNKNOWN ? UNKNOWN * SCHEMA_SENT : schemaVersion)",
    tests: PUBLISHER_TESTS,
  },
  {
    name: "launchdarkly: a schema version that is not one counts as unknown",
    file: `${VENDOR}/outbound.ts`,
    find: "Number.isSafeInteger(schemaVersion) && schemaVersion > 0 ?",
    replace: "schemaVersion !== 0 ?",
    tests: PUBLISHER_TESTS,
  },
  {
    name: "launchdarkly: a schema header with more than digits counts as 1",
    file: "packages/vendors/src/launchdarkly/inbound.ts",
    find: "/^\\+?\\d+$/.test(header)",
    replace: "/^\\+?\\d+/.test(header)",
    tests: INBOUND_TESTS,
  },
  {
    name: "launchdarkly: a flush interval of 0 or less means the default",
    file: `${VENDOR}/publisher.ts`,
    find: "flushIntervalMs > 0 ? flushIntervalMs : PUBLISHER_DEFAULTS.flushIntervalMs,",
    replace: "Math.max(1, flushIntervalMs),",
    tests: PUBLISHER_TESTS,
  },
  {
    name: "launchdarkly: the publisher's default interval is a minute",
    file: `${VENDOR}/publisher.ts`,
    find: "flushIntervalMs: 60_000,",
    replace: "flushIntervalMs: 50_000,",
    tests: PUBLISHER_TESTS,
  },
  {
    name: "launchdarkly: queues that nobody uses are forgotten at a flush",
    file: `${VENDOR}/publisher.ts`,
    find: "if (several && this.#queues.delete(queue.metadata))",
    replace: "if (several && !this.#queues.has(queue.metadata))",
    tests: PUBLISHER_TESTS,
  },
  {
    name: "launchdarkly: summarisers that nobody uses are forgotten",
    file: `${VENDOR}/idle-map.ts`,
    find: "if (!entry.used) {",
    replace: "if (entry.used === undefined) {",
    tests: SUMMARIES_TESTS,
  },
  {
    name: "launchdarkly: a use keeps a summariser",
    file: `${VENDOR}/idle-map.ts`,
    find: "entry.used = true;",
    replace: "",
    tests: SUMMARIES_TESTS,
  },
  {
    name: "launchdarkly: one summariser alone is kept",
    file: `${VENDOR}/idle-map.ts`,
    find: "if (this.#entries.size > 1) this.#arm();\n  }",
    replace: "this.#arm();\n  }",
    tests: SUMMARIES_TESTS,
  },
  {
    name: "launchdarkly: with longer flushes the clean-up waits for two",
    file: `${VENDOR}/idle-map.ts`,
    find: "flushIntervalMs > CLEANUP_MS ? 2 * flushIntervalMs",
    replace: "flushIntervalMs > CLEANUP_MS ? flushIntervalMs",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: eventQueueCleanupInterval counts on disk",
    file: `${RELAY}/launchdarkly/summaries.ts`,
    find: "cleanupIntervalOf(eventQueueCleanupInterval, 0)",
    replace: "cleanupIntervalOf(eventQueueCleanupInterval && 0, 0)",
    tests: SUMMARIES_TESTS,
  },
  {
    name: "launchdarkly: eventQueueCleanupInterval counts in memory",
    file: `${RELAY}/launchdarkly/memory-relay.ts`,
    find: "cleanupIntervalMs: eventQueueCleanupInterval,",
    replace: "cleanupIntervalMs: eventQueueCleanupInterval && 0,",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: eventQueueCleanupInterval is for launchdarkly alone",
    file: `${RELAY}/config/destination-schema.ts`,
    find: "...destination.shape,",
    replace: "...destination.shape,\n    ...VENDOR_CONFIGS.launchdarkly.destination.shape,",
    tests: OPTIONS_TESTS,
  },
  {
    name: "launchdarkly: what a forgotten summariser holds is sent",
    file: `${VENDOR}/forwarder.ts`,
    find: "for (const old of waiting) this.#summarise(old);",
    replace: "",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: the vendor's Date ends debug events in memory",
    file: `${VENDOR}/forwarder.ts`,
    find: "this.#serverTimeMs = serverTimeMs;",
    replace: "void serverTimeMs;",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: the vendor's Date ends debug events on disk",
    file: `${RELAY}/launchdarkly/summaries.ts`,
    find: "delivered(Number.isNaN(date) ? undefined : date);",
    replace: "delivered(Number.isNaN(date) ? undefined : undefined);",
    tests: SUMMARIES_TESTS,
  },
  {
    name: "launchdarkly: the Date of an answer that took nothing is not believed",
    file: `${VENDOR}/publisher.ts`,
    find: "delivered === 0 ? Number.NaN : Date.parse",
    replace: "delivered < 0 ? Number.NaN : Date.parse",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: strict says schema 3 in memory",
    file: `${VENDOR}/forwarder.ts`,
    find: "this.#options.strict ? SUMMARISED_SCHEMA : parsed.schema",
    replace: "parsed.schema",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: memory mode flushes by itself",
    file: `${VENDOR}/forwarder.ts`,
    find: "      this.#inBackground(this.flush());\n",
    replace: "",
    tests: MEMORY_TESTS,
  },
  {
    name: "launchdarkly: another environment id takes new queues at a reload",
    file: `${RELAY}/launchdarkly/memory-sources.ts`,
    find: 'writeKey: "", mobileKey: config.mobileKey !== undefined }',
    replace: 'writeKey: "", mobileKey: config.mobileKey !== undefined, environmentId: "" }',
    tests: RELOAD_TESTS,
  },
  {
    name: "launchdarkly: another capacity holds from the reload on",
    file: `${RELAY}/launchdarkly/memory-sources.ts`,
    find: "JSON.stringify(memoryOf(source)) === JSON.stringify(memory);",
    replace: "memoryOf(source)?.flushInterval === memory.flushInterval;",
    tests: RELOAD_TESTS,
  },
  {
    name: "launchdarkly: a wrong type in an alias makes it malformed",
    file: `${VENDOR}/old-events.ts`,
    find: 'textOf(event["previousKey"], "previousKey")',
    replace: 'event["previousKey"] as string',
    tests: SUMMARISE_TESTS,
  },
  {
    name: "launchdarkly: a negative date makes an old event malformed",
    file: `${VENDOR}/old-events.ts`,
    find: "!Number.isSafeInteger(value) || value < 0)",
    replace: "!Number.isSafeInteger(value))",
    tests: SUMMARISE_TESTS,
  },
  {
    name: "launchdarkly: a dispatcher has handlers only for its credentials",
    file: `${CLIENT}/dispatcher.ts`,
    find: 'if (sdkKind === "js" && environmentId === undefined) return undefined;',
    replace: "void environmentId;",
    tests: DISPATCHER_TESTS,
  },
  {
    name: "launchdarkly: getEventPayloadMetadata reads headers in any letter case",
    file: `${CLIENT}/metadata.ts`,
    find: "[name.toLowerCase(), ",
    replace: "[name, ",
    tests: DISPATCHER_TESTS,
  },
];
