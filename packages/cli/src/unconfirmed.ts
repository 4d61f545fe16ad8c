import { complain, type Io } from "./io.ts";

/** Relays of a cluster that have not confirmed what was asked of all. */
export function complainOfUnconfirmed(io: Io, relays: readonly string[]): void {
  complain(io, `Not confirmed yet by ${relays.join(", ")}: a relay carries it out once it reads it.`);
}
