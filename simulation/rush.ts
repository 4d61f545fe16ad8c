/** A vendor that takes few requests at once, and a lane with many: it has to find the limit. */
import type { Plan } from "./sim-relay.ts";
import type { SimVendor } from "./vendors.ts";

const AT_ONCE = 2;
const MAX_IN_FLIGHT = 64;
const EVENTS = 240;
const USERS = 40;
/** After so many requests that were taken the limit is known, and hardly any is refused. */
const LEARNING = 80;
const REFUSED_MOST = 0.1;

/** What is planned but for this destination: its lane has many requests, of an event each. */
export function rushed(plan: Plan, index: number): Plan {
  const destinations = plan.destinations.map((destination, at) =>
    at === index ? { ...destination, maxInFlight: MAX_IN_FLIGHT, batchMaxEvents: 1 } : destination,
  );
  return { ...plan, destinations };
}

export interface RushOptions {
  readonly make: (userId: string) => void;
  /** Resolves once everything is delivered, or takes too long. */
  readonly delivered: () => Promise<void>;
}

/** What is wrong with how the limit was found; `undefined` when nothing is. */
export async function rush(vendor: SimVendor, { make, delivered }: RushOptions): Promise<string | undefined> {
  vendor.limitTo(AT_ONCE);
  for (let count = 0; count < EVENTS; count++) make(`rush-${count % USERS}`);
  await delivered();
  const share = vendor.refusedShare(LEARNING);
  vendor.limitTo(Number.POSITIVE_INFINITY);
  return share > REFUSED_MOST ? `refused ${share} of all requests, although its limit was known` : undefined;
}
