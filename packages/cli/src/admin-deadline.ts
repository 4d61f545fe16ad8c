import { WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import type { AdminAnswer, Operation } from "@waybill/relay";
import { type AdminCall, type AdminOptions, callAdmin } from "./admin-client.ts";
import type { Io } from "./io.ts";

/** A relay answers within milliseconds; one that takes so long needs a person. */
const DEADLINE_MS = 10_000;

/** `withinMs`: default ten seconds. */
export type DeadlineCall<O extends Operation> = AdminCall<O> & { readonly withinMs?: number };

/**
 * As {@link callAdmin}, and ends where nothing answers. **Errors**: `WAYBILL_TRANSPORT` then too.
 */
export async function callWithin<O extends Operation>(
  options: AdminOptions,
  io: Io,
  operation: O,
  call: DeadlineCall<O>,
): Promise<AdminAnswer<O>> {
  const { withinMs = DEADLINE_MS } = call;
  const controller = new AbortController();
  const timer = nodeClock.after(withinMs, () => controller.abort(), true);
  try {
    return await callAdmin({ ...options, signal: controller.signal }, io, operation, call);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    throw new WaybillError("WAYBILL_TRANSPORT", `${options.admin} has not answered within ${withinMs / 1_000} s`, {
      hint: "Is the relay's process overloaded, or stopped? Is this the address of its admin API?",
      cause: error,
    });
  } finally {
    timer.cancel();
  }
}
