/** What an event is called and whose it is, in whichever vendor's wire format it is stored. */
import { own } from "@waybill/core";
import type { LogRecord } from "@waybill/log";
import { textOf, vendorOf } from "@waybill/vendors";
import { adapterOf, toCanonical } from "@waybill/vendors/registry";

/** `null`: it has none. */
export interface EventNames {
  readonly type: string | null;
  readonly name: string | null;
  readonly messageId: string | null;
  readonly userId: string | null;
  readonly anonymousId: string | null;
}

/** All that are given must be equal. `user`: its user id or its anonymous id. */
export interface NamesFilter {
  readonly type?: string | undefined;
  readonly name?: string | undefined;
  readonly user?: string | undefined;
}

const NOBODY: EventNames = { type: null, name: null, messageId: null, userId: null, anonymousId: null };

/** Never throws: what is not an event of its vendor's has no names. */
export function namesOf(text: string, metadata: string): EventNames {
  const names = canonicalNames(text, metadata);
  if (names === NOBODY) return NOBODY;
  try {
    return { ...names, messageId: idOf(text, metadata) ?? names.messageId };
  } catch {
    return names;
  }
}

/** Whether an event has these names: without its id, for which some vendors' are parsed again. */
export function isNamed(text: string, metadata: string, filter: NamesFilter): boolean {
  return hasNames(canonicalNames(text, metadata), filter);
}

function canonicalNames(text: string, metadata: string): EventNames {
  try {
    const canonical = toCanonical(text, metadata) as Readonly<Record<string, unknown>> | undefined;
    if (typeof canonical !== "object" || canonical === null) return NOBODY;
    const at = (name: string): string | null => textOf(own(canonical, name)) ?? null;
    return {
      type: at("type"),
      name: at("event"),
      messageId: at("messageId"),
      userId: at("userId"),
      anonymousId: at("anonymousId"),
    };
  } catch {
    return NOBODY;
  }
}

export function hasNames(names: EventNames, { type, name, user }: NamesFilter): boolean {
  return (
    (type === undefined || names.type === type) &&
    (name === undefined || names.name === name) &&
    (user === undefined || names.userId === user || names.anonymousId === user)
  );
}

/** Whether it wants anything at all. */
export function wantsNames({ type, name, user }: NamesFilter): boolean {
  return type !== undefined || name !== undefined || user !== undefined;
}

/** Whether a text can be in JSON in one way only: serialisers write no escapes for these. */
const PLAIN = /^[\w@.+: -]+$/;

/**
 * Bytes that an event must hold to have these names: where it does not, it need not be parsed.
 * Names of events are not looked for: vendors write them in ways of their own.
 */
export function bytesOfNames({ user }: NamesFilter): Buffer | undefined {
  return user !== undefined && PLAIN.test(user) ? Buffer.from(user) : undefined;
}

/** The text of an event of a record. */
export function eventText({ body, ends }: LogRecord, index: number): string {
  const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
  return Buffer.from(body.buffer, body.byteOffset + start, (ends[index] as number) - start).toString();
}

/** The id by which its vendor knows the event. */
function idOf(text: string, metadata: string): string | undefined {
  const path = adapterOf(vendorOf(metadata))?.idMember;
  if (path === undefined) return undefined;
  let at: unknown = JSON.parse(text);
  for (const name of path.split("."))
    at = typeof at === "object" && at !== null ? own(at as Readonly<Record<string, unknown>>, name) : undefined;
  return textOf(at);
}
