/** Where a vendor's events say whose they are, and the same ready for reading. */

/**
 * A member of an event: names joined by dots. `0`, `1` … are elements of an array; `*` is the first
 * member of an object as it is written. Names are of ASCII letters, digits, `_` and `$`.
 */
export type Place = string;

export interface OrderTable {
  /**
   * Whose an event is: the first of these that is a text with something in it, a number or a
   * boolean. Events of equal keys keep their order.
   */
  readonly key: readonly Place[];
  /** The member with the event's type, for `ties`. */
  readonly type?: Place;
  /** Events that say of two ids that they are one person's. Default: none does. */
  readonly ties?: readonly OrderTie[];
  /** Not part of an id that begins with it. */
  readonly prefix?: string;
}

export interface OrderTie {
  /** The types of these events. */
  readonly types?: readonly string[];
  /** All events whose metadata begins with it, whatever their type. */
  readonly metadata?: string;
  /** Where the key of these events is, before the places that all events have. */
  readonly key?: readonly Place[];
  /** The other id: the first of these that is not the key. */
  readonly other: readonly Place[];
}

/** A member on the way to one that is read. */
export interface PlaceNode {
  readonly name: string;
  /** Where its value is noted; -1: only what is in it matters. */
  slot: number;
  /** The slots of what is in it. */
  readonly within: number[];
  readonly children: PlaceNode[];
  /** The children by the first byte of their name. A backslash may begin any of them. */
  readonly byFirstByte: (readonly PlaceNode[] | undefined)[];
}

/** Places by their slots. */
interface ReadyTie {
  readonly types: readonly string[];
  readonly metadata: string | undefined;
  readonly key: readonly number[];
  readonly other: readonly number[];
}

export interface ReadyTable {
  readonly root: PlaceNode;
  readonly slots: number;
  readonly key: readonly number[];
  /** -1: no type matters. */
  readonly type: number;
  readonly ties: readonly ReadyTie[];
  readonly prefix: string;
  /** By slot the names, where all places are members of the event itself. */
  readonly members: readonly string[] | undefined;
}

/** The name of a child that is the first member, whatever it is called. */
export const FIRST_MEMBER = "*";
const NAME = /^[A-Za-z_$]/;
const SHORT_NAME = /^[A-Za-z_$][A-Za-z0-9_$]{0,15}$/;
const BACKSLASH = 0x5c;
const BYTES = 256;

export function readyTable({ key, type, ties = [], prefix = "" }: OrderTable): ReadyTable {
  const root = nodeOf("");
  const slotByPlace = new Map<Place, number>();
  const slotOf = (place: Place): number => {
    const slot = slotByPlace.get(place) ?? slotByPlace.size;
    if (!slotByPlace.has(place)) addPlace(root, place, slot);
    slotByPlace.set(place, slot);
    return slot;
  };
  const keySlots = key.map(slotOf);
  const readyTies = ties.map((tie) => ({
    types: tie.types ?? [],
    metadata: tie.metadata,
    key: [...(tie.key ?? []).map(slotOf), ...keySlots],
    other: tie.other.map(slotOf),
  }));
  const typeSlot = type === undefined ? -1 : slotOf(type);
  const places = [...slotByPlace.keys()];
  return {
    root,
    slots: places.length,
    key: keySlots,
    type: typeSlot,
    ties: readyTies,
    prefix,
    members: places.every((place) => SHORT_NAME.test(place)) ? places : undefined,
  };
}

function nodeOf(name: string): PlaceNode {
  return { name, slot: -1, within: [], children: [], byFirstByte: new Array(BYTES).fill(undefined) };
}

function addPlace(root: PlaceNode, place: Place, slot: number): void {
  let node = root;
  for (const name of place.split(".")) {
    node.within.push(slot);
    let child = node.children.find((one) => one.name === name);
    if (child === undefined) {
      child = nodeOf(name);
      node.children.push(child);
      // Elements and first members are found by where they are.
      for (const byte of NAME.test(name) ? [name.charCodeAt(0), BACKSLASH] : [])
        node.byFirstByte[byte] = [...(node.byFirstByte[byte] ?? []), child];
    }
    node = child;
  }
  node.slot = slot;
}
