/**
 * The log on Kafka from one seed: clients, two or three relays before one cluster, vendors at a
 * distance, on a virtual clock. Each step does something or breaks something, lets time pass, and
 * checks what must hold at every instant: no committed state goes back, ledgers add up, order of
 * each user at the vendors. At the end the faults stop; everything accepted must be in the log, at
 * each vendor once, or a dead letter, or left out, and copies must be dropped alike by all.
 *
 * In some runs operators ask for replays and retries of dead letters, of which each must end with a
 * ledger that is what the vendor got (`operators.ts`); in others callers wait for what their vendor
 * answers (`callers.ts`).
 */
import { Recent } from "../../packages/log-kafka/src/recent.ts";
import { SharedTurns } from "../../packages/relay/src/delivery/turns.ts";
import { replaced } from "../replaced.ts";
import type { Simulated } from "../simulate.ts";
import { ClusterWorld } from "./cluster-world.ts";
import type { ClusterBug } from "./planted.ts";
import { nextClusterStep } from "./steps.ts";

export async function simulateCluster(seed: number, steps: number, bug?: ClusterBug): Promise<Simulated> {
  const restore = bug?.patch?.();
  // They wait for the event loop of Node, which does not turn while the virtual clock does.
  const restoreTurns = replaced(SharedTurns.prototype, "turn", () => () => Promise.resolve());
  // All that comes in a run fits the memory of what is recent, where retention takes nothing.
  const restoreRecent = seed % 2 === 0 ? replaced(Recent.prototype, "read", () => () => undefined) : () => undefined;
  try {
    const world = new ClusterWorld(seed, bug);
    await world.start();
    for (let step = 0; step < steps && world.violations.length === 0; step++) {
      await world.step(nextClusterStep(world));
      world.check(`step ${step}`);
      if (world.violations.length === 0) await world.look(step);
    }
    if (world.violations.length === 0) await world.finish();
    const { violations, faults, tracked: events, traces, orderViolations } = world;
    const { checked: tracesChecked, mismatches: traceMismatches } = traces;
    if (violations.length > 0 && process.env["SIM_LINES"] !== undefined) violations.push(...world.lines.slice(-60));
    return { steps, violations, faults, events, tracesChecked, traceMismatches, orderViolations };
  } finally {
    restoreRecent();
    restoreTurns();
    restore?.();
  }
}
