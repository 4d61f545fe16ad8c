/** What a row shows of an event, whatever its wire format. */

export interface EventHead {
  readonly type: string;
  readonly name: string;
  readonly messageId: string;
  readonly user: string;
}

/** The vendors' names of the same thing, in the order in which they are looked for. */
const NAMES = ["event", "name", "event_type", "key", "kind", "metric"];
const TYPES = ["type", "kind"];
const IDS = ["messageId", "message_id", "insert_id", "uuid", "idempotencyKey", "$insert_id"];
const USERS = [
  "userId",
  "user_id",
  "distinct_id",
  "external_id",
  "anonymousId",
  "anonymous_id",
  "device_id",
  "$user_id",
  "$device_id",
];

/** Of the event or of its properties; what there is not is empty. */
export function headOf(event: unknown): EventHead {
  return {
    type: textOf(event, TYPES),
    name: textOf(event, NAMES),
    messageId: textOf(event, IDS),
    user: textOf(event, USERS),
  };
}

function textOf(event: unknown, names: readonly string[]): string {
  for (const holder of [event, memberOf(event, "properties")])
    for (const name of names) {
      const value = memberOf(holder, name);
      if (typeof value === "string" || typeof value === "number") return String(value);
    }
  return "";
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

const INDENT = 2;

/** JSON for reading. What is not JSON stays as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, INDENT);
  } catch {
    return text;
  }
}
