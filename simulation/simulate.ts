/**
 * The whole system in one process from one seed: clients, the relay's intake, log and lanes, two Segment twins, on a virtual clock, network
 * and disk. Each step does something or breaks something, lets time pass, and checks what must hold at every instant; at the end the faults stop, and
 * everything a client made must be at each twin once, or a dead letter, or counted as lost to retention or damage.
 */
import type { PlantedBug } from "./planted.ts";
import { World } from "./world.ts";

export interface Simulated {
  readonly steps: number;
  /** What went wrong; empty when all promises held. */
  readonly violations: readonly string[];
  /** Faults that were injected, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
}

export async function simulate(seed: number, steps: number, bug?: PlantedBug): Promise<Simulated> {
  const restore = bug?.patch?.();
  try {
    const world = new World(seed, bug);
    await world.startRelay();
    for (let step = 0; step < steps && world.violations.length === 0; step++) {
      await world.step();
      world.check(`step ${step}`);
    }
    if (world.violations.length === 0) await world.finish();
    return { steps, violations: world.violations, faults: world.faults, events: world.tracked };
  } finally {
    restore?.();
  }
}
