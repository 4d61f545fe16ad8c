/** A destination's dead letters held to each other and to its ledger. */
import type { Environment } from "@waybill/relay/headless";

type Destination = NonNullable<ReturnType<Environment["destination"]>>;

/**
 * No event is kept twice, and each that the ledger has rejected is kept. One that was kept before
 * its owner was replaced may have been delivered since.
 */
export async function deadLetterFaults(destination: Destination, name: string): Promise<readonly string[]> {
  const { deadLetters } = destination;
  const positions = new Set<number>();
  const faults: string[] = [];
  for await (const { position } of deadLetters.list()) {
    if (positions.has(position)) faults.push(`${name} has two dead letters of the event at ${position}`);
    positions.add(position);
  }
  const { rejected } = destination.account();
  const { waiting, retried, discarded, damaged } = deadLetters.counts();
  const kept = deadLetters.log.first + waiting + retried + discarded + damaged;
  if (kept < rejected) faults.push(`${name} has rejected ${rejected} events, and kept ${kept}`);
  return faults;
}
