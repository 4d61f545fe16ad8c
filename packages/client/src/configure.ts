/** What a client is made of, from what it was given. */
import { messageOf, WaybillError } from "@waybill/core";
import { type Destination, relayDestination } from "./destinations.ts";
import { type GivenOptions, type ResolvedOptions, resolveClientOptions } from "./options.ts";
import { LIBRARY } from "./version.ts";

export interface Configured {
  readonly options: ResolvedOptions;
  readonly destinations: readonly Destination[];
  /** As `encodeMetadata` of the vendors writes a context alone. */
  readonly metadata: string;
}

/** **Errors**: one `WAYBILL_OPTIONS` that names every fault at once. */
export function configure(given: GivenOptions): Configured {
  const faults: string[] = [];
  const attempt = <T>(make: () => T, prefix = ""): T => {
    try {
      return make();
    } catch (error) {
      faults.push(prefix + messageOf(error).replace("createClient: ", ""));
      return undefined as T;
    }
  };
  const configured = {
    options: attempt(() => resolveClientOptions(given)),
    destinations: attempt(() => destinationsOf(given)),
    metadata: attempt(() => JSON.stringify({ context: { ...given?.context, library: LIBRARY } }), "context: "),
  };
  if (given?.spool && !given.spool.createPipeline) faults.push("spool must be made by spool() of waybill/spool");
  if (faults.length > 0) throw new WaybillError("WAYBILL_OPTIONS", `createClient: ${faults.join("; ")}`);
  return configured;
}

function destinationsOf(given: GivenOptions | undefined): readonly Destination[] {
  const { destinations, relay } = { ...given };
  if ((destinations === undefined) === (relay === undefined) || destinations?.length === 0)
    throw new Error("give either destinations or relay");
  // What is not even an object was reported.
  const list = destinations ?? (relay && typeof relay === "object" ? [relayDestination(relay)] : []);
  const names = Array.from(list, (one) => (one as Destination | null)?.protocol && one.name) as (string | undefined)[];
  if (names.includes(undefined)) throw new Error("each of destinations must be made by segment() or another vendor");
  if (new Set(names).size < names.length)
    throw new Error(`two destinations have the same name (${names.join(", ")}); give each its own`);
  return list;
}
