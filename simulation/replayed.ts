/** What a vendor that knows requests by their keys got of replays, which it knows by those keys. */
import { type ServerRequest } from "@waybill/testing";

/** A request of a replay, by its key. */
export interface ReplayRequest {
  /** The replay's id, and the number of the partition. */
  readonly part: string;
  readonly key: string;
  /** Positions of its first event and of its last: in the log, or among the dead letters. */
  readonly first: number;
  readonly last: number;
}

const KEY = /^[^/]+\/(\d+)\/[^/]+\/replay-([0-9a-f-]{36})-(\d+)-(\d+)(?:-of-(\d+))?$/;

export function partName(replay: string, partition: number | string): string {
  return `${replay}/${partition}`;
}

/** `undefined` for a request of a lane. */
export function replayRequestOf({ headers }: Pick<ServerRequest, "headers">): ReplayRequest | undefined {
  const key = headers["idempotency-key"] ?? "";
  const [, partition, replay, first, count, span = count] = KEY.exec(key) ?? [];
  if (partition === undefined || replay === undefined) return undefined;
  return { part: partName(replay, partition), key, first: Number(first), last: Number(first) + Number(span) - 1 };
}

/** Of a replay in a partition. */
export interface Taken {
  /** Ids of events, in the order in which they came first; each with the keys they came with. */
  readonly events: Map<string, Set<string>>;
  /** Those that were in a request which did not simply succeed. */
  readonly troubled: Set<string>;
  /** Requests that came again. */
  again: number;
}

interface Sending extends Taken {
  /** Whose request came last. */
  sender: object | undefined;
  /** How often another relay's came than before. */
  switches: number;
  /** The first position of the request that goes furthest, and its last. */
  frontier: Pick<ReplayRequest, "first" | "last">;
  /** Keys of requests that came although the replay had gone on past them. */
  readonly overtaken: Set<string>;
}

export class Replayed {
  readonly faults: string[] = [];
  readonly #parts = new Map<string, Sending>();
  readonly #ids = new Map<string, string>();

  of(part: string): Taken {
    return this.#of(part);
  }

  #of(part: string): Sending {
    const known = this.#parts.get(part) ?? {
      events: new Map<string, Set<string>>(),
      troubled: new Set<string>(),
      again: 0,
      sender: undefined,
      switches: 0,
      frontier: { first: -1, last: -1 },
      overtaken: new Set<string>(),
    };
    this.#parts.set(part, known);
    return known;
  }

  /** Whether an event was taken from any replay. */
  has(id: string): boolean {
    return [...this.#parts.values()].some(({ events }) => events.has(id));
  }

  /** Replays that more than one relay has sent. */
  get handedOver(): number {
    return [...this.#parts.values()].filter(({ switches }) => switches > 0).length;
  }

  /** Requests that came again under their keys. */
  get again(): number {
    return [...this.#parts.values()].reduce((sum, { again }) => sum + again, 0);
  }

  /**
   * A relay sends a request. A relay that took over begins with what was in flight, at the
   * earliest: only what another one still has on its way may come after that.
   */
  sent(sender: object, { part, key, first, last }: ReplayRequest): void {
    const sending = this.#of(part);
    if (sending.sender !== undefined && sending.sender !== sender) sending.switches += 1;
    sending.sender = sender;
    if (last > sending.frontier.last || (last === sending.frontier.last && first < sending.frontier.first))
      sending.frontier = { first, last };
    if (last < sending.frontier.first) sending.overtaken.add(key);
    if (sending.overtaken.size > sending.switches)
      this.faults.push(`the replay ${part} goes back to ${first}, it was at ${sending.frontier.first}`);
  }

  /** The vendor takes a request. */
  take({ part, key }: ReplayRequest, ids: readonly string[]): void {
    const { events } = this.#of(part);
    const text = ids.join();
    const before = this.#ids.get(key);
    if (before !== undefined) this.#of(part).again += 1;
    if (before !== undefined && before !== text)
      this.faults.push(`the request ${key} has other events than before: ${before} and now ${text}`);
    this.#ids.set(key, text);
    for (const id of ids) events.set(id, (events.get(id) ?? new Set<string>()).add(key));
  }

  trouble({ part }: ReplayRequest, ids: readonly string[]): void {
    for (const id of ids) this.#of(part).troubled.add(id);
  }
}
