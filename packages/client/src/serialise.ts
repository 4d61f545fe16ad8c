/**
 * Turns a call into the bytes that will be sent, at the moment of the call: the caller may change its objects afterwards,
 * and the size is known exactly. Written by hand around `JSON.stringify` of the free parts, because that is 1.3 times as fast as
 * stringifying one object (`npm run bench -- client`).
 */
import { type Clock, WaybillError } from "@waybill/core";
import type { CanonicalEvents, CommonFields, EventType, Properties } from "@waybill/vendors";

export interface Serialised {
  readonly messageId: string;
  readonly text: string;
}

/** Behind this prefix stands the id, in every text. */
const ID_PREFIX = /^\{"type":"\w+","messageId":("(?:[^"\\]|\\.)*")/;

/** **Errors**: the serialiser throws `WAYBILL_EVENT` when a required field is missing or a value cannot be written as JSON. */
export type Serialiser = <T extends EventType>(type: T, event: CanonicalEvents[T]) => Serialised;

export function createSerialiser(clock: Pick<Clock, "now">, makeId: () => string): Serialiser {
  const timeText = createTimeText(clock);
  return (type, event) => {
    if (typeof event !== "object" || event === null) throw invalid(`${type}() takes an object`);
    const messageId = event.messageId ?? makeId();
    let text = `{"type":"${type}","messageId":${event.messageId === undefined ? `"${messageId}"` : string(type, "messageId", event.messageId)}`;
    text += `,"timestamp":"${event.timestamp === undefined ? timeText() : timeOf(type, event.timestamp)}"`;
    if (event.userId !== undefined && event.userId !== null)
      text += `,"userId":${string(type, "userId", event.userId)}`;
    else if (type === "alias" || event.anonymousId === undefined || event.anonymousId === null)
      throw invalid(`${type}() needs ${type === "alias" ? "a userId" : "a userId or an anonymousId"}`);
    if (event.anonymousId !== undefined && event.anonymousId !== null)
      text += `,"anonymousId":${string(type, "anonymousId", event.anonymousId)}`;
    text += ownFields(type, event);
    if (event.context !== undefined) text += member(type, "context", event.context);
    if (event.integrations !== undefined) text += member(type, "integrations", event.integrations);
    return { messageId, text: `${text}}` };
  };
}

/** The id inside a text that a serialiser made. */
export function messageIdOf(text: string): string {
  const match = ID_PREFIX.exec(text);
  return match === null ? "" : (JSON.parse(match[1] as string) as string);
}

interface OwnFields extends CommonFields {
  readonly event?: unknown;
  readonly groupId?: unknown;
  readonly previousId?: unknown;
  readonly name?: unknown;
  readonly category?: unknown;
  readonly properties?: Properties | undefined;
  readonly traits?: Properties | undefined;
}

function ownFields(type: EventType, event: OwnFields): string {
  switch (type) {
    case "track":
      return `,"event":${string(type, "event", event.event)}${optionalObject(type, "properties", event.properties)}`;
    case "identify":
      return optionalObject(type, "traits", event.traits);
    case "group":
      return `,"groupId":${string(type, "groupId", event.groupId)}${optionalObject(type, "traits", event.traits)}`;
    case "alias":
      return `,"previousId":${string(type, "previousId", event.previousId)}`;
    default:
      return (
        (event.name === undefined ? "" : `,"name":${string(type, "name", event.name)}`) +
        (event.category === undefined ? "" : `,"category":${string(type, "category", event.category)}`) +
        optionalObject(type, "properties", event.properties)
      );
  }
}

function optionalObject(type: EventType, field: string, value: Properties | undefined): string {
  return value === undefined ? "" : member(type, field, value);
}

function member(type: EventType, field: string, value: Properties): string {
  if (typeof value !== "object" || value === null) throw invalid(`${type}(): ${field} must be an object`);
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw invalid(
      `${type}(): ${field} cannot be written as JSON: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`,
    );
  }
  if (text === undefined) throw invalid(`${type}(): ${field} cannot be written as JSON`);
  return `,"${field}":${text}`;
}

function string(type: EventType, field: string, value: unknown): string {
  if (typeof value !== "string" || value === "") throw invalid(`${type}() needs ${field} as a text that is not empty`);
  return JSON.stringify(value);
}

function timeOf(type: EventType, value: Date | string): string {
  const date = typeof value === "string" ? new Date(value) : value;
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) throw invalid(`${type}(): timestamp is no time`);
  // A text keeps the precision it has.
  return typeof value === "string" ? JSON.stringify(value).slice(1, -1) : date.toISOString();
}

/** The time of now as ISO text; made once per millisecond. */
function createTimeText(clock: Pick<Clock, "now">): () => string {
  let lastMs = Number.NaN;
  let text = "";
  return () => {
    const nowMs = clock.now();
    if (nowMs !== lastMs) {
      lastMs = nowMs;
      text = new Date(nowMs).toISOString();
    }
    return text;
  };
}

function invalid(message: string): WaybillError {
  return new WaybillError("WAYBILL_EVENT", message);
}
