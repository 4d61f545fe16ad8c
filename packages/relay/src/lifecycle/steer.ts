import type { Confirmation } from "../cluster/confirmations.ts";
import type { LanesOf } from "../cluster/desired-state.ts";
import type { Plan } from "../plan.ts";

/**
 * Pauses or resumes a lane; in a cluster the lanes of all partitions, whichever relay has them.
 * `undefined`: there is no such destination. **Errors**: `WAYBILL_DISK`,
 * `WAYBILL_LOG_UNAVAILABLE`.
 */
export async function steer(
  plan: Plan,
  { environment: named, destination }: LanesOf,
  action: "pause" | "resume",
): Promise<Confirmation | undefined> {
  const { control } = plan;
  if (control === undefined) {
    const isThere = await plan.environments.get(named)?.setPaused(destination, action === "pause");
    return isThere === true ? { unconfirmed: [] } : undefined;
  }
  // One of its partitions stands for all.
  const [environment = named] = named.split("/");
  const found = plan.config.environments.find(({ name }) => name === environment);
  if (found?.destinations.some(({ name }) => name === destination) !== true) return undefined;
  return control.steer({ environment, destination }, action);
}
