/** Handlers of the routes that show stored events. */
import { PartitionLog } from "@waybill/log-kafka";
import { partitionOf } from "../../cluster/partition-name.ts";
import { eventText, namesOf } from "../../delivery/event-names.ts";
import { searchLog } from "../../delivery/log-search.ts";
import { recordAt } from "../../delivery/record-at.ts";
import { Turns } from "../../delivery/turns.ts";
import type { Environment } from "../../environment.ts";
import { printRange } from "../../receipt.ts";
import { invalid, unknown } from "../refusal.ts";
import type { eventRoutes } from "../routes/events.ts";
import type { AdminView } from "../view.ts";
import type { StoredEvent } from "../views.ts";
import { answer, type Handlers } from "./call.ts";
import { chosenEnvironment } from "./lookup.ts";

const LIMITS = { maxBytes: 1024 ** 3, maxEvents: 100, maxMs: 10_000 };

export const eventHandlers: Handlers<keyof typeof eventRoutes> = {
  showEvent: async (view, call) => {
    const environment = chosenEnvironment(view, call.params.environment);
    const { position } = call.params;
    const found = await eventAt(environment, position, new Turns(view.clock, { shared: call.turns }));
    if (found === undefined)
      throw unknown(
        "unknown_event",
        `The log of ${environment.name} has no event at position ${position}, or no more.`,
      );
    answer(call, 200, found);
  },
  searchEvents: async (view, call) => {
    const { query, scans, turns } = call;
    const environment = environmentOf(view, query.environment);
    const gone = new AbortController();
    call.response.once("close", () => gone.abort());
    const { since: sinceMs, until: untilMs, environment: _name, ...names } = query;
    const choice = { ...names, sinceMs, untilMs, signal: AbortSignal.any([gone.signal, view.stopping]) };
    const options = { clock: view.clock, limits: LIMITS };
    const result = await scans.use(() => searchLog(environment.log, choice, { ...options, shared: turns }));
    answer(call, 200, { environment: environment.name, ...result });
  },
};

/** Where there is one, it need not be named. */
function environmentOf(view: AdminView, name: string | undefined): Environment {
  if (name !== undefined) return chosenEnvironment(view, name);
  const [only, ...more] = view.environments();
  if (only === undefined) throw unknown("unknown_environment", "There is no environment.");
  if (more.length > 0) throw invalid("The query parameter environment is missing: there are several.");
  return only;
}

async function eventAt(environment: Environment, position: number, turns: Turns): Promise<StoredEvent | undefined> {
  const { log, name } = environment;
  const record = position < log.head ? await recordAt(log, position) : undefined;
  if (record === undefined) return undefined;
  const index = position - record.first;
  const text = eventText(record, index);
  const destinations: StoredEvent["destinations"][number][] = [];
  // One after another: each makes a whole chain of senders.
  for (const destination of environment.destinations()) {
    await turns.yield();
    const preview = await destination.preview(record, index);
    destinations.push({ name: destination.config.name, vendor: destination.config.vendor, ...preview });
  }
  return {
    environment: name,
    position,
    source: record.source,
    receivedAt: record.receivedAtMs,
    receipt: await receiptOf(environment, position),
    ...namesOf(text, record.metadata),
    event: text,
    destinations,
  };
}

async function receiptOf({ name, log }: Environment, position: number): Promise<string> {
  const split = partitionOf(name);
  const place = log instanceof PartitionLog ? await log.offsetOf(position) : undefined;
  if (split === undefined || place === undefined) return `${name}/${printRange({ position, count: 1 })}`;
  return `${split.environment}/${printRange({ partition: split.partition, ...place, count: 1 })}`;
}
