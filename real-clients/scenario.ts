/**
 * What a published SDK does on a {@link Stage}, and what became of its events. The tests and
 * `npm run real-clients` run the same scenarios: every one in the folder `clients`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { installedVersion } from "./setup.ts";
import { openStage, type Stage } from "./stage.ts";

const CLIENTS = fileURLToPath(new URL("./clients/", import.meta.url));

export interface Scenario {
  /** The package, under its name in the manifest of this folder. */
  readonly client: string;
  /** Which of the client's ways this is, in a few words. */
  readonly how: string;
  /** Other packages of the manifest that it cannot run without, such as the page's. */
  readonly needs?: readonly string[];
  /** Rejects when something other than the number of events is not as it must be. */
  run(stage: Stage): Promise<void>;
}

export interface Outcome {
  readonly client: string;
  readonly how: string;
  /** Events that were given to the SDK. */
  readonly events: number;
  /** Of those, the ones that never reached the vendor. */
  readonly lost: number;
  /** Copies that the vendor keeps beyond the first of an event, after its own deduplication. */
  readonly duplicates: number;
  /** How often the relay was killed and started again meanwhile. */
  readonly relayKills: number;
  /** Why it did not run to its end. */
  readonly failure?: unknown;
}

/** Every scenario, by file and then as written. */
export async function findScenarios(): Promise<readonly Scenario[]> {
  const files = readdirSync(CLIENTS).filter((name) => name.endsWith(".ts"));
  const modules = await Promise.all(
    files
      .toSorted()
      .map((name) => import(pathToFileURL(join(CLIENTS, name)).href) as Promise<{ scenarios: readonly Scenario[] }>),
  );
  return modules.flatMap(({ scenarios }) => scenarios);
}

/** Why a scenario cannot run here; `undefined` when it can. */
export function obstacleOf({ client, needs = [] }: Scenario): string | undefined {
  const missing = [client, ...needs].filter((name) => installedVersion(name) === undefined);
  return missing.length === 0 ? undefined : `${missing.join(" and ")} not installed`;
}

/** Runs it on a stage of its own and counts. Its failure is part of the outcome. */
export async function play(scenario: Scenario): Promise<Outcome> {
  const { client, how } = scenario;
  const stage = openStage();
  try {
    let failure: unknown;
    try {
      await scenario.run(stage);
    } catch (error) {
      failure = error ?? new Error("it failed and did not say why");
    }
    const { counted, relayKills } = await stage.settle();
    return { client, how, ...counted, relayKills, ...(failure === undefined ? {} : { failure }) };
  } finally {
    await stage.close();
  }
}
