/**
 * What is wrong with the events of a request, by field and place, in the maps of Amplitude's
 * answer.
 */

export type FaultKind = "invalid" | "missing" | "short";

const MEMBERS: Readonly<Record<FaultKind, string>> = {
  invalid: "events_with_invalid_fields",
  missing: "events_with_missing_fields",
  short: "events_with_invalid_id_lengths",
};
const KINDS = ["invalid", "missing", "short"] as const;

export class EventFaults {
  readonly #places: Readonly<Record<FaultKind, Map<string, number[]>>> = {
    invalid: new Map(),
    missing: new Map(),
    short: new Map(),
  };
  /** Whether any event has one. */
  found = false;

  add(kind: FaultKind, field: string, index: number): void {
    this.found = true;
    const places = this.#places[kind].get(field);
    if (places === undefined) this.#places[kind].set(field, [index]);
    else places.push(index);
  }

  /** The members of the answer; maps that are empty are left out. */
  members(): Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> {
    const kinds = KINDS.filter((kind) => this.#places[kind].size > 0);
    return Object.fromEntries(kinds.map((kind) => [MEMBERS[kind], Object.fromEntries(this.#places[kind])]));
  }
}
