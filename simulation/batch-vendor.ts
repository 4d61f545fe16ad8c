/**
 * A vendor that knows a duplicate by the key of its request alone: what comes again under another
 * key is there twice.
 */
import { emulators, type ServerRequest, type ServerResponse } from "@waybill/testing";
import { eventsIn } from "./in-flight.ts";
import type { KnownPlaces } from "./places.ts";
import { Replayed, replayRequestOf } from "./replayed.ts";

/** An event that it got. */
export interface BatchArrival {
  readonly id: string;
  readonly event: Readonly<Record<string, unknown>>;
}

/** A request that it took. */
interface Taken {
  readonly key: string;
  readonly ids: readonly string[];
}

export class BatchVendor extends emulators.VendorEmulator {
  readonly arrived: BatchArrival[] = [];
  readonly ids: string[] = [];
  /** Requests whose key was another request's. */
  readonly faults: string[] = [];
  /**
   * Events that came again because retention or damage had taken others of the request that they
   * came with first, of which the relay did not know that it was taken: what is left of it has
   * another key. And those of which damage had taken the ids.
   */
  readonly cut = new Set<string>();
  /** What came of replays: nothing else here has it. */
  readonly replayed = new Replayed();
  #keys: readonly string[] = ["key"];
  readonly #seen = new Map<string, Taken>();
  /** The request that an event came with first. */
  readonly #first = new Map<string, Taken>();
  readonly #places: KnownPlaces;

  constructor(options: emulators.EmulatorOptions, places: KnownPlaces) {
    super(options);
    this.#places = places;
  }

  rotate(keys: readonly string[]): void {
    this.#keys = keys;
  }

  protected refusal(status: number): ServerResponse {
    return { status, headers: {}, body: "injected failure" };
  }

  protected work(request: ServerRequest): ServerResponse {
    const { headers, body } = request;
    if (!this.#keys.includes(headers["x-api-key"] ?? "")) return this.refusal(401);
    const events = eventsIn(body);
    const ids = events.map((event) => String(event["messageId"]));
    const replay = replayRequestOf(request);
    if (replay !== undefined) {
      this.replayed.take(replay, ids);
      return { status: 200, headers: {}, body: "" };
    }
    const key = headers["idempotency-key"] ?? "";
    const before = this.#seen.get(key)?.ids.join();
    if (before !== undefined && before !== ids.join())
      this.faults.push(`the request ${key} has other events than before: ${before} and now ${ids.join()}`);
    if (before === undefined) {
      const taken = { key, ids };
      this.#seen.set(key, taken);
      for (const [index, event] of events.entries()) {
        const id = ids[index] as string;
        this.arrived.push({ id, event });
        this.#noteCut(id, ids);
        if (!this.#first.has(id)) this.#first.set(id, taken);
      }
      this.ids.push(...ids);
    }
    return { status: 200, headers: {}, body: "" };
  }

  #noteCut(id: string, ids: readonly string[]): void {
    const first = this.#first.get(id);
    if (first !== undefined && this.#places.isForgotten(id)) this.cut.add(id);
    if (first === undefined || this.#places.hasAnswer(first.key)) return;
    // Of an event whose first copy was taken a later one is a copy only to who had read both.
    if ([...first.ids, ...ids].some((other) => this.#places.isGone(other))) this.cut.add(id);
  }
}
