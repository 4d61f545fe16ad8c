import type { Mutant } from "./mutant.ts";

const LOG_SOURCE = "packages/log/src";
const LOG_TESTS = "packages/log/test";
const RELAY_SOURCE = "packages/relay/src";
const RELAY_TESTS = "packages/relay/test";
const VENDORS_SOURCE = "packages/vendors/src";
const VENDORS_TESTS = "packages/vendors/test";
const INGEST_TESTS = [`${RELAY_TESTS}/intake/ingest.test.ts`];
const FILTER_TESTS = [`${RELAY_TESTS}/delivery/left-out.test.ts`];
const PREFIX_TESTS = [`${RELAY_TESTS}/intake/source-prefixes.test.ts`];
const ROUTE_TESTS = [`${RELAY_TESTS}/admin/routes.test.ts`];

/** Requests for several sources, and who refuses a request. */
const REQUESTS: readonly Mutant[] = [
  {
    name: "adapters: the records of a request are stored together or not at all",
    file: `${RELAY_SOURCE}/intake/ingest.ts`,
    find: "log.appendAll(kept.map(entryOf))",
    replace: "Promise.all(kept.map((part) => log.append(entryOf(part))))",
    tests: INGEST_TESTS,
  },
  {
    name: "adapters: entries of one append are in one wave, however large they are",
    file: `${LOG_SOURCE}/segment-log.ts`,
    find: "joins: at > 0",
    replace: "joins: at < 0",
    tests: [`${LOG_TESTS}/wave.test.ts`],
  },
  {
    name: "adapters: no id of a request that failed is remembered",
    file: `${RELAY_SOURCE}/intake/ingest.ts`,
    find: "of group.toReversed()) rollBack(part);",
    replace: "of group.slice(1)) rollBack(part);",
    tests: INGEST_TESTS,
  },
  {
    name: "adapters: each part of a request has the position of its own record",
    file: `${RELAY_SOURCE}/intake/ingest.ts`,
    find: "firsts[kept.indexOf(part)]",
    replace: "firsts[group.indexOf(part)]",
    tests: INGEST_TESTS,
  },
  {
    name: "adapters: a duplicate of the second part is answered when its first copy is durable",
    file: `${RELAY_SOURCE}/intake/ingest.ts`,
    find: "const hasDuplicates = group.some(",
    replace: "const hasDuplicates = group.slice(0, 1).some(",
    tests: INGEST_TESTS,
  },
  {
    name: "adapters: the body is offered to each vendor of the path",
    file: `${RELAY_SOURCE}/intake/router.ts`,
    find: "{ next: opened }",
    replace: "{}",
    tests: [`${RELAY_TESTS}/intake/amplitude.test.ts`],
  },
  {
    name: "adapters: the first vendor of a shared path refuses",
    file: `${RELAY_SOURCE}/intake/router.ts`,
    find: "refusing ??= match;",
    replace: "refusing = match;",
    tests: PREFIX_TESTS,
  },
  {
    name: "adapters: every source has a prefix with its environment",
    file: `${RELAY_SOURCE}/intake/sources.ts`,
    find: "prefixes.push([longPrefix(source), source]);",
    replace: "",
    tests: PREFIX_TESTS,
  },
  {
    name: "adapters: the short prefix is for names that are unique",
    file: `${RELAY_SOURCE}/intake/sources.ts`,
    find: "if (named.get(name) === 1)",
    replace: "if (named.has(name))",
    tests: PREFIX_TESTS,
  },
  {
    name: "adapters: a refusal of an unknown key says where it was looked for",
    file: `${RELAY_SOURCE}/intake/refusals.ts`,
    find: "`${whose} It was looked for ${place}.`",
    replace: "whose",
    tests: PREFIX_TESTS,
  },
];

/** Sources of a destination, and what the admin API takes and counts. */
const RELAYED: readonly Mutant[] = [
  {
    name: "adapters: a destination gets the events of its sources alone",
    file: `${RELAY_SOURCE}/delivery/left-out.ts`,
    find: "const isWhole = taken.length === batch.pieces.length;",
    replace: "const isWhole = taken.length > 0;",
    tests: FILTER_TESTS,
  },
  {
    name: "adapters: each event of a mixed batch keeps its own outcome",
    file: `${RELAY_SOURCE}/delivery/left-out.ts`,
    find: "(used += piece.end - piece.start)",
    replace: "(used += 0)",
    tests: FILTER_TESTS,
  },
  {
    name: "adapters: events of other sources are dropped for their source",
    file: `${RELAY_SOURCE}/delivery/left-out.ts`,
    find: 'reason: "source"',
    replace: 'reason: "filtered"',
    tests: FILTER_TESTS,
  },
  {
    name: "adapters: an unknown query parameter is named and refused",
    file: `${RELAY_SOURCE}/admin/validation.ts`,
    find: "if (strange === undefined) return;",
    replace: 'if (strange !== "") return;',
    tests: ROUTE_TESTS,
  },
  {
    name: "adapters: a replay that sends no event a second is refused",
    file: `${RELAY_SOURCE}/admin/schemas/requests.ts`,
    find: "  .min(EVENTS_PER_SECOND_MIN, rateExpected)",
    replace: "  .min(-EVENTS_PER_SECOND_MIN, rateExpected)",
    tests: ROUTE_TESTS,
  },
  {
    name: "adapters: duplicates of a source are counted in /metrics",
    file: `${RELAY_SOURCE}/admin/metrics/tables.ts`,
    find: "value: ({ duplicates }) => duplicates,",
    replace: "value: ({ accepted }) => accepted,",
    tests: [`${RELAY_TESTS}/admin/metrics.test.ts`],
  },
];

/** Amplitude and Mixpanel. */
const VENDORS: readonly Mutant[] = [
  {
    name: "adapters: the same insert_id on two of Amplitude's devices is two events",
    file: `${VENDORS_SOURCE}/amplitude/stored-event.ts`,
    find: "return deviceId === undefined ?",
    replace: 'return deviceId !== "" ?',
    tests: [`${VENDORS_TESTS}/amplitude/inbound.test.ts`],
  },
  {
    name: "adapters: what other events of Amplitude's request were refused for goes again",
    file: `${VENDORS_SOURCE}/amplitude/answers.ts`,
    find: 'atOnce("400: other events of the request were refused")',
    replace: "DELIVERED",
    tests: [`${VENDORS_TESTS}/amplitude/outbound.test.ts`],
  },
  {
    name: "adapters: a wrong key of Amplitude's is not part of a reason",
    file: `${VENDORS_SOURCE}/amplitude/answers.ts`,
    find: 'error.startsWith("Invalid API key"))',
    replace: 'error === "Invalid API key")',
    tests: [`${VENDORS_TESTS}/amplitude/outbound.test.ts`],
  },
  {
    name: "adapters: events of one of Amplitude's users keep their order on any device",
    file: `${VENDORS_SOURCE}/amplitude/index.ts`,
    find: 'key: ["user_id", "device_id"],',
    replace: 'key: ["device_id", "user_id"],',
    tests: [`${VENDORS_TESTS}/order/order.test.ts`],
  },
  {
    name: "adapters: the same $insert_id of two of Mixpanel's users is two events",
    file: `${VENDORS_SOURCE}/mixpanel/items.ts`,
    find: 'this.#event, this.#found.get("distinct_id")];',
    replace: "this.#event];",
    tests: [`${VENDORS_TESTS}/mixpanel/inbound.test.ts`],
  },
  {
    name: "adapters: one unknown token refuses all of Mixpanel's request",
    file: `${VENDORS_SOURCE}/mixpanel/inbound.ts`,
    find: "if (item.token !== undefined && !isKey(item.token))",
    replace: "if (item.token !== undefined && groups.size === 0 && !isKey(item.token))",
    tests: [`${VENDORS_TESTS}/mixpanel/inbound.test.ts`],
  },
  {
    name: "adapters: Mixpanel's tokens are not stored",
    file: `${VENDORS_SOURCE}/mixpanel/items.ts`,
    find: "return isToken;",
    replace: "return isToken && this.#members < 0;",
    tests: [`${VENDORS_TESTS}/mixpanel/inbound.test.ts`],
  },
  {
    name: "adapters: Mixpanel's count of stored events must add up",
    file: `${VENDORS_SOURCE}/mixpanel/outbound.ts`,
    find: "imported + places.size === batch.count;",
    replace: "imported + places.size <= batch.count;",
    tests: [`${VENDORS_TESTS}/mixpanel/outbound.test.ts`],
  },
];

export const ADAPTERS: readonly Mutant[] = [...REQUESTS, ...RELAYED, ...VENDORS];
