/**
 * The whole system in one process from one seed: clients and a stranger, the relay's intake, log
 * and lanes, two Segment emulators, a Letter emulator after a translation, a filter and a
 * redaction, and one that knows duplicates by key alone, all at a distance and with poisonous
 * events, on a virtual clock, network and disk. Each step does something or breaks something, lets
 * time pass, and checks what must hold at every instant; at the end the faults stop, and everything
 * a client made, and the relay took from a stranger, must be at each emulator once, or a dead
 * letter, or counted as left out or as lost to retention or damage. In some runs a vendor then
 * takes two requests at once, and must not have to refuse many. No request is without its answer,
 * and none ends the process.
 *
 * A seed's course changes with every change of what draws from it: what a seed has found is kept as
 * a test of the part at fault.
 */
import type { PlantedBug } from "./planted-bug.ts";
import { nextStep } from "./steps.ts";
import { World } from "./world.ts";

export interface Simulated {
  readonly steps: number;
  /** What went wrong; empty when all promises held. */
  readonly violations: readonly string[];
  /** Faults that were injected, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
  /** Events whose trace was compared with what the vendor knows, and those that were wrong. */
  readonly tracesChecked: number;
  readonly traceMismatches: number;
  /** Events that came before an earlier one of their user, and requests that could let them. */
  readonly orderViolations: number;
}

export async function simulate(seed: number, steps: number, bug?: PlantedBug): Promise<Simulated> {
  const restore = bug?.patch?.();
  try {
    const world = new World(seed, bug);
    await world.startRelay();
    for (let step = 0; step < steps && world.violations.length === 0; step++) {
      await world.step(nextStep(world.random));
      world.check(`step ${step}`);
      if (world.violations.length === 0) await world.look(step);
    }
    if (world.violations.length === 0) await world.finish();
    const { violations, faults, tracked: events, traces, orderViolations } = world;
    const { checked: tracesChecked, mismatches: traceMismatches } = traces;
    return { steps, violations, faults, events, tracesChecked, traceMismatches, orderViolations };
  } finally {
    restore?.();
  }
}
