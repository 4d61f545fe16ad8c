import { FieldReader, frame, type Range } from "./frame.ts";

/** Where an id is in the bytes, inside its quotes; `idStart` is -1 for an event without one. */
export interface EventId {
  readonly idStart: number;
  readonly idEnd: number;
  /** What it is in, for an id that is made of several members. Default: the body. */
  readonly bytes?: Uint8Array;
}

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const BACKSLASH = 0x5c;
const encoder = new TextEncoder();
export const NO_ID: EventId = { idStart: -1, idEnd: -1 };

/** The stored events of a record's `body` as one JSON array. */
export function arrayOf(body: Uint8Array): Uint8Array {
  const array = new Uint8Array(body.length + 2);
  array[0] = OPEN_BRACKET;
  array.set(body, 1);
  array[body.length + 1] = CLOSE_BRACKET;
  return array;
}

/**
 * What `idOf` finds in each stored event of a `body`; offsets are those of {@link arrayOf}. None
 * of a body that is not JSON.
 */
export function eventIdsBy(
  body: Uint8Array,
  idOf: (fields: FieldReader, event: Range, array: Uint8Array) => EventId,
): readonly EventId[] {
  const array = arrayOf(body);
  const framed = frame(array, { kind: "array" }, { allowNonFinite: false });
  if ("code" in framed) return [];
  const fields = new FieldReader(array);
  return framed.events.map((event) => idOf(fields, event, array));
}

/**
 * Where the ids of stored events are in their `body`: each event's member of this name. None of a
 * body that is not JSON.
 */
export function eventIdsIn(body: Uint8Array, member: string): readonly EventId[] {
  return eventIdsBy(body, (fields, event, array) => {
    const [id] = fields.read(event, [member]);
    // One with escapes is remembered decoded: it is not found by its bytes.
    if (id === undefined || !fields.isText(id) || array.subarray(id.start, id.end).includes(BACKSLASH)) return NO_ID;
    return { idStart: id.start, idEnd: id.end - 2 };
  });
}

/** An id that is not one piece of the body; "" for none. */
export function eventIdOf(text: string): EventId {
  if (text === "") return NO_ID;
  const bytes = encoder.encode(text);
  return { idStart: 0, idEnd: bytes.length, bytes };
}
