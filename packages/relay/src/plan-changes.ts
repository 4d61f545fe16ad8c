/** What a new plan changes, in words. */
import type { RelayConfig, SourceConfig } from "./config/types.ts";
import { waitingText } from "./delivery/destination-plan.ts";
import type { OpenEnvironment } from "./open-environment.ts";

/** Sources that come, go, or speak another protocol. Changed keys are not listed. */
export function sourceChanges(before: RelayConfig, after: RelayConfig): readonly string[] {
  const known = sourcesOf(before);
  const wanted = sourcesOf(after);
  const environments = new Set(before.environments.map(({ name }) => name));
  const stay = new Set(after.environments.map(({ name }) => name).filter((name) => environments.has(name)));
  const changes: string[] = [];
  for (const [name, { environment, source }] of wanted) {
    if (!stay.has(environment)) continue;
    const was = known.get(name)?.source;
    if (was === undefined) changes.push(`source ${name} added`);
    else if (was.protocol !== source.protocol)
      changes.push(
        `source ${name} changed: its clients speak ${source.protocol}, before ${was.protocol}; its counters go on`,
      );
    else if (withoutKeys(was) !== withoutKeys(source)) changes.push(`source ${name} changed`);
  }
  for (const [name, { environment }] of known)
    if (stay.has(environment) && !wanted.has(name)) changes.push(`source ${name} removed`);
  return changes;
}

function sourcesOf({
  environments,
}: RelayConfig): ReadonlyMap<string, { readonly environment: string; readonly source: SourceConfig }> {
  return new Map(
    environments.flatMap(({ name, sources }) =>
      sources.map((source) => [`${name}/${source.name}`, { environment: name, source }] as const),
    ),
  );
}

function withoutKeys(source: SourceConfig): string {
  return JSON.stringify({ ...source, keys: [] });
}

/** What an environment that goes leaves undelivered. */
export function removal({ name, shards }: OpenEnvironment): {
  readonly waiting: { readonly waitingEvents: number; readonly waitingBytes: number };
  readonly text: string;
} {
  const waiting = { waitingEvents: 0, waitingBytes: 0 };
  for (const { account, pendingBytes } of shards.flatMap((shard) => shard.lanes(0))) {
    waiting.waitingEvents += account.pending;
    waiting.waitingBytes += pendingBytes;
  }
  const { waitingEvents } = waiting;
  const rest =
    waitingEvents === 0
      ? ""
      : `; ${waitingText(waitingEvents)} in its log and are delivered if an environment of that name returns`;
  return { waiting, text: `${name} removed${rest}` };
}
