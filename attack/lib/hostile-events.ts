/** Events that are JSON, and nothing else that anybody expects. */

const LONG_CHARACTERS = 30_000;
const DEEP = 400;

/** Values as JSON text, for any field. */
export const HOSTILE_VALUES: readonly string[] = [
  '{"toString":null}',
  '{"toString":1,"valueOf":null}',
  '{"toString":null,"toJSON":null,"valueOf":null}',
  '{"__proto__":null}',
  '{"__proto__":{"toString":null}}',
  '{"constructor":{"prototype":null}}',
  '{"toJSON":"x","then":1,"length":-1}',
  '{"length":1e9}',
  "{}",
  "[]",
  "[[]]",
  "[null]",
  "[1]",
  '[{"toString":null}]',
  "null",
  "true",
  "0",
  "-0",
  "1e308",
  "1e999",
  "-1",
  "8640000000000001",
  "123456789012345678901234567890",
  '""',
  '" "',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '"a\\nb"',
  '"a\\r\\nx: y"',
  '"\\u001b[2J\\u0007"',
  '"\\u007f"',
  '"\\u2028"',
  '"\\u0100"',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"%"',
  '"%2e%2e"',
  '".."',
  '"../../admin"',
  '"."',
  '"?x#y"',
  '"9999999-99-99T99:99:99Z"',
  '"-271821-04-19T00:00:00.000Z"',
  '"+275760-09-13T00:00:00.001Z"',
  '"1e9"',
  `"${"x".repeat(LONG_CHARACTERS)}"`,
  `${"[".repeat(DEEP)}${"]".repeat(DEEP)}`,
  `${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`,
];

/** An object's text with one member more, which is the last one and so counts. */
export function withMember(object: string, name: string, value: string): string {
  return `${object.slice(0, -1)},${JSON.stringify(name)}:${value}}`;
}

const SEGMENT_FIELDS = [
  "event",
  "userId",
  "anonymousId",
  "groupId",
  "previousId",
  "name",
  "category",
  "timestamp",
  "sentAt",
  "originalTimestamp",
  "context",
  "properties",
  "traits",
  "integrations",
  "_metadata",
  "__proto__",
  "toString",
  "value",
];
const SEGMENT_TYPES = ["track", "identify", "page", "screen", "group", "alias"];

/** Segment events: each field of each type with each hostile value. */
export function segmentEvents(makeId: () => string): string[] {
  const events: string[] = [];
  for (const [index, field] of SEGMENT_FIELDS.entries())
    for (const [at, value] of HOSTILE_VALUES.entries()) {
      const type = SEGMENT_TYPES[(index + at) % SEGMENT_TYPES.length] ?? "track";
      const base = `{"type":"${type}","userId":"u","anonymousId":"a","groupId":"g","previousId":"p","event":"Order Completed","name":"n","messageId":"${makeId()}"}`;
      events.push(withMember(base, field, value));
      // Where the values are looked into.
      if (field === "context" || field === "properties" || field === "traits")
        events.push(
          `{"type":"${type}","userId":"u","groupId":"g","event":"E","messageId":"${makeId()}","${field}":{"email":${value},"ip":${value},"value":${value},"timezone":${value},"page":${value},"library":${value},"traits":${value}}}`,
        );
    }
  return events;
}

/** The event exactly as the issue gives it. */
export function trackWithoutText(messageId: string): string {
  return `{"type":"track","userId":"u","messageId":"${messageId}","event":{"toString":null}}`;
}

const LAUNCHDARKLY_KINDS = [
  "feature",
  "custom",
  "identify",
  "index",
  "summary",
  "debug",
  "click",
  "alias",
  "migration_op",
  "__proto__",
];
const LAUNCHDARKLY_FIELDS = [
  "kind",
  "key",
  "creationDate",
  "user",
  "userKey",
  "context",
  "contextKeys",
  "contextKind",
  "value",
  "default",
  "variation",
  "version",
  "reason",
  "prereqOf",
  "trackEvents",
  "debugEventsUntilDate",
  "features",
  "data",
  "metricValue",
  "startDate",
];

export function launchdarklyEvents(): string[] {
  const events = [...HOSTILE_VALUES];
  for (const [index, field] of LAUNCHDARKLY_FIELDS.entries())
    for (const [at, value] of HOSTILE_VALUES.entries()) {
      const kind = LAUNCHDARKLY_KINDS[(index + at) % LAUNCHDARKLY_KINDS.length] ?? "custom";
      const base = `{"kind":"${kind}","key":"flag-${at % 3}","creationDate":1700000000000,"user":{"key":"u"},"contextKeys":{"user":"u"},"variation":1,"version":1,"value":true,"default":false}`;
      events.push(withMember(base, field, value));
    }
  return events;
}

/**
 * For the protocols whose events are members of a request: a healthy one, and the fields that are
 * looked at.
 */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  letter: [
    "type",
    "userId",
    "event",
    "accountId",
    "traits",
    "properties",
    "timestamp",
    "messageId",
    "email",
    "name",
    "timezone",
  ],
  getfluxly: [
    "event",
    "user_id",
    "anonymous_id",
    "external_id",
    "properties",
    "traits",
    "context",
    "occurred_at",
    "message_id",
  ],
  trophy: ["user", "value", "attributes", "idempotencyKey"],
  valued: ["category", "key", "user", "customer", "attributes", "occured_at", "occurred_at"],
  posthog: ["event", "distinct_id", "properties", "timestamp", "uuid", "$set"],
};

export function eventsOf(protocol: string, healthy: string): string[] {
  return (FIELDS[protocol] ?? []).flatMap((field) => HOSTILE_VALUES.map((value) => withMember(healthy, field, value)));
}
