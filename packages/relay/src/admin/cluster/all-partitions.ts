/**
 * A request about a destination over all partitions of its environment: `production/segment` of a
 * cluster. Each partition is asked once, as `production/3/segment`, of the relay that has it. Who
 * does not answer is named with its partitions, never left out in silence.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { messageOf, WaybillError } from "@waybill/core";
import type { z } from "zod";
import type { RelayEntry } from "../../cluster/relay-directory.ts";
import { type Answer, problem } from "../../intake/answers.ts";
import { Refusal } from "../refusal.ts";
import { ADMIN_ROUTES, adminPath, type Operation } from "../routes/table.ts";
import type { AdminView } from "../view.ts";
import { ownerOf } from "./cluster-view.ts";
import { isConfigured, isFromRelay, PASSED_DEADLINE_MS } from "./pass-on.ts";
import { faultText, type Peers } from "./peers.ts";
import { jsonOf } from "./reports.ts";
import { isElsewhere, nameUnanswered } from "./unanswered.ts";

export interface LaneParams {
  readonly environment: string;
  readonly destination: string;
}

/** A destination of all partitions, and where each of them is. */
export class WholeDestination {
  readonly peers: Peers;
  readonly partitions: readonly number[];
  readonly #view: AdminView;
  readonly #params: LaneParams;

  constructor(view: AdminView, peers: Peers, params: LaneParams) {
    this.#view = view;
    this.#params = params;
    this.peers = peers;
    this.partitions = Array.from({ length: peers.partitions }, (_, partition) => partition);
  }

  /** As the path of a partition's own route has it. */
  paramsOf(partition: number): LaneParams {
    const { environment, destination } = this.#params;
    return { environment: `${environment}/${partition}`, destination };
  }

  /** `undefined` when no relay is known to have it now. */
  placeOf(partition: number): "here" | RelayEntry | undefined {
    const { environment, destination } = this.#params;
    if (this.#view.environment(`${environment}/${partition}`)?.destination(destination) !== undefined) return "here";
    const relay = ownerOf(this.peers.relays(), { environment, destination, partition });
    return relay?.isSelf === true ? undefined : relay;
  }
}

/** `undefined` for one partition, on the disk, and for a request that comes from a relay. */
export function wholeDestination(
  view: AdminView,
  request: IncomingMessage,
  params: LaneParams,
): WholeDestination | undefined {
  const peers = view.peers?.();
  if (peers === undefined || isFromRelay(request)) return undefined;
  return isConfigured(view, params) ? new WholeDestination(view, peers, params) : undefined;
}

/** `Q`: what the query of each partition has, as its route checks it. */
export interface AllPartitionsOptions<Q extends object> {
  readonly whole: WholeDestination;
  readonly operation: Operation;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Answers for a partition that is here. */
  readonly here: (params: LaneParams, query: Q) => Promise<Answer>;
}

/** Of one partition. */
export interface PartitionAnswer<T> {
  readonly partition: number;
  readonly value: T;
  /** The body. */
  readonly text: string;
}

export class AllPartitions<Q extends object> {
  readonly #options: AllPartitionsOptions<Q>;
  /** Partitions that were not answered for, by why. */
  readonly #faults = new Map<string, Set<number>>();
  /** Relays that are not asked again, with why. */
  readonly #silent = new Map<string, string>();
  #answered = 0;

  constructor(options: AllPartitionsOptions<Q>) {
    this.#options = options;
  }

  get partitions(): readonly number[] {
    return this.#options.whole.partitions;
  }

  /** `undefined` when nobody answers for it, which is noted, or nobody waits for the answer. */
  async request<S extends z.ZodType>(
    partition: number,
    query: Q,
    schema: S,
  ): Promise<PartitionAnswer<z.infer<S>> | undefined> {
    const { request, response } = this.#options;
    if (request.method === "GET" && response.destroyed) return undefined;
    const answer = await this.#answerOf(partition, query);
    if (typeof answer === "string") return this.#note(partition, answer);
    const { status, body } = answer;
    if (status < 200 || status >= 300) return this.#note(partition, detailOf(body) ?? `answers with ${status}`);
    const { success, data } = schema.safeParse(jsonOf(body));
    if (!success) return this.#note(partition, "its relay answers with what is not known here");
    this.#answered += 1;
    return { partition, value: data, text: body };
  }

  /** Those of a relay one after another: it has few places for what reads much. */
  async requestEach<S extends z.ZodType>(
    partitions: readonly number[],
    query: (partition: number) => Q,
    schema: S,
  ): Promise<readonly PartitionAnswer<z.infer<S>>[]> {
    const byRelay = new Map<string | undefined, number[]>();
    for (const partition of partitions) {
      const place = this.#options.whole.placeOf(partition);
      const relay = typeof place === "object" ? place.id : place;
      byRelay.set(relay, [...(byRelay.get(relay) ?? []), partition]);
    }
    const found: PartitionAnswer<z.infer<S>>[] = [];
    const requestAll = async (some: readonly number[]): Promise<void> => {
      for (const partition of some) {
        const answer = await this.request(partition, query(partition), schema);
        if (answer !== undefined) found.push(answer);
      }
    };
    await Promise.all([...byRelay.values()].map(requestAll));
    return found.toSorted((one, other) => one.partition - other.partition);
  }

  /** Names who did not answer. **Errors**: a refusal when nobody did. */
  end(): void {
    if (this.#faults.size === 0) return;
    const faults = [...this.#faults].map(([fault, partitions]) => `${listed([...partitions])}: ${fault}`);
    if (this.#answered === 0) throw new Refusal(problem(502, "relay_unanswered", `${faults.join("; ")}.`));
    nameUnanswered(this.#options.response, faults);
  }

  async #answerOf(partition: number, query: Q): Promise<Pick<Answer, "status" | "body"> | string> {
    const { operation, here, whole } = this.#options;
    const params = whole.paramsOf(partition);
    const relay = whole.placeOf(partition);
    if (relay === undefined) return NO_RELAY;
    if (relay === "here") {
      try {
        return await here(params, query);
      } catch (error) {
        if (error instanceof Refusal) return error.answer;
        if (error instanceof WaybillError) return messageOf(error);
        throw error;
      }
    }
    const known = this.#silent.get(relay.id);
    if (known !== undefined) return known;
    const asked = await whole.peers.request(relay, {
      method: ADMIN_ROUTES[operation].method,
      path: pathOf(operation, params, query),
      body: "",
      deadlineMs: PASSED_DEADLINE_MS,
      isLong: true,
    });
    if ("response" in asked) return isElsewhere(asked.response) ? NO_RELAY : asked.response;
    const fault = faultText(asked);
    this.#silent.set(relay.id, fault);
    return fault;
  }

  #note(partition: number, fault: string): undefined {
    const known = this.#faults.get(fault);
    if (known === undefined) this.#faults.set(fault, new Set([partition]));
    else known.add(partition);
  }
}

/** Of partitions. */
export const NO_RELAY = "no relay is known to have it now";

/** As a client writes it. */
export function pathOf(operation: Operation, params: LaneParams, query: object): string {
  // An array is its elements, separated by commas.
  const given = Object.entries(query).map(([name, value]) => [name, String(value)] as const);
  return adminPath(operation, { params: { ...params }, query: Object.fromEntries(given) });
}

function detailOf(body: string): string | undefined {
  const { detail } = (jsonOf(body) ?? {}) as { readonly detail?: unknown };
  return typeof detail === "string" ? detail : undefined;
}

export function listed(partitions: readonly number[]): string {
  const sorted = partitions.toSorted((one, other) => one - other);
  return `partition${sorted.length === 1 ? "" : "s"} ${sorted.join(", ")}`;
}
