/**
 * A vendor that knows a duplicate by the key of its request alone: what comes again under another
 * key is there twice.
 */
import { emulators, type ServerRequest, type ServerResponse } from "@waybill/testing";
import { eventsIn } from "./in-flight.ts";

/** An event that it got. */
export interface BatchArrival {
  readonly id: string;
  readonly event: Readonly<Record<string, unknown>>;
}

export class BatchVendor extends emulators.VendorEmulator {
  readonly arrived: BatchArrival[] = [];
  readonly ids: string[] = [];
  /** Requests whose key was another request's. */
  readonly faults: string[] = [];
  #keys: readonly string[] = ["key"];
  readonly #seen = new Map<string, string>();

  rotate(keys: readonly string[]): void {
    this.#keys = keys;
  }

  protected refusal(status: number): ServerResponse {
    return { status, headers: {}, body: "injected failure" };
  }

  protected work({ headers, body }: ServerRequest): ServerResponse {
    if (!this.#keys.includes(headers["x-api-key"] ?? "")) return this.refusal(401);
    const events = eventsIn(body);
    const ids = events.map((event) => String(event["messageId"]));
    const key = headers["idempotency-key"] ?? "";
    const before = this.#seen.get(key);
    if (before !== undefined && before !== ids.join())
      this.faults.push(`the request ${key} has other events than before: ${before} and now ${ids.join()}`);
    if (before === undefined) {
      this.#seen.set(key, ids.join());
      for (const [index, event] of events.entries()) this.arrived.push({ id: ids[index] as string, event });
      this.ids.push(...ids);
    }
    return { status: 200, headers: {}, body: "" };
  }
}
