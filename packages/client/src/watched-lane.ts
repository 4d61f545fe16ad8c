import {
  type Attempt,
  createSender,
  fullJitter,
  Lane,
  type LaneMode,
  type LaneOptions,
  type Store,
  WaybillError,
} from "@waybill/core";
import type { Destination } from "./destinations.ts";
import { inFlight } from "./in-flight.ts";
import type { Health, PipelineOptions } from "./options.ts";

export interface WatchedLane {
  readonly lane: Lane;
  readonly health: () => Health;
}

/**
 * One destination's lane over any store. Its troubles are reported to `onError` once per cause, and
 * again when the cause changed or came back.
 */
export function watchedLane(
  destination: Destination,
  store: Store,
  { options, host, onError }: PipelineOptions,
  createLane: (options: LaneOptions) => Lane = (laneOptions) => new Lane(laneOptions),
): WatchedLane {
  const { name, protocol, translate, origin = name, key = "key" } = destination;
  let trouble: Health | undefined;
  /** The cause that was reported last. */
  let reported: unknown;
  let last: Attempt | undefined;

  const describe = (reason: string): string => {
    // A disk's, not the destination's.
    if (reason !== last?.reason) return reason;
    const { status } = last;
    if (status === 401) return `401: the ${key} is not known at ${origin}`;
    if (status !== undefined) return `${reason} at ${origin}`;
    return reason.startsWith("no answer from") ? reason : `no answer from ${origin}: ${reason}`;
  };
  const note = (mode: LaneMode, because: string): void => {
    // An attempt that close interrupted has less information than the one before it.
    if (trouble !== undefined && because.includes("aborted")) return;
    const reason = describe(because);
    trouble = { mode, reason };
    // The text of an answer may differ each time.
    const cause = last?.status ?? reason;
    if (reported === cause) return;
    reported = cause;
    const isDefect = mode === "failed";
    onError(
      new WaybillError(
        isDefect ? "WAYBILL_DEFECT" : "WAYBILL_DESTINATION",
        isDefect ? `${name} failed: ${reason}` : reason,
        { hint: `Destination: ${name}` },
      ),
    );
  };

  const { backoffBaseMs, backoffMaxMs, transport = host.runtime.transport } = options;
  const runtime = { ...host.runtime, transport };
  const { width, observe } = inFlight(store, protocol.limits, runtime.clock);
  const lane = createLane({
    store,
    sender: createSender({
      ...options,
      protocol,
      runtime,
      backoff: fullJitter(backoffBaseMs, backoffMaxMs),
      translate,
    }),
    runtime,
    limits: protocol.limits,
    // What is a full batch waits for no other event.
    trigger: { ...options, flushAt: Math.min(options.flushAt, protocol.limits.maxEvents) },
    width,
    onAttempt(attempt) {
      observe(attempt);
      last = attempt;
      if (attempt.retryable + attempt.halted === 0) trouble = reported = undefined;
    },
    onModeChange(mode, reason) {
      if (reason !== undefined) note(mode, reason);
    },
  });
  return { lane, health: () => trouble ?? { mode: lane.mode, reason: undefined } };
}
