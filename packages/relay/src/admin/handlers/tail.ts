import { quoted, unknown } from "../refusal.ts";
import { heartbeat, SSE_HEADERS } from "../streams.ts";
import { tail } from "../tail.ts";
import type { AdminView } from "../view.ts";
import type { Call } from "./call.ts";
import { chosenEnvironment } from "./lookup.ts";

/** Streams events as they are stored, of one environment or of all. */
export async function streamTail(
  view: AdminView,
  { response, query, streams, isAllowed, turns: shared }: Call<"tail">,
): Promise<void> {
  const { environment: name, source, ...names } = query;
  const environments = name === undefined ? view.environments() : [chosenEnvironment(view, name)];
  const plans = view.plan().filter(({ environment }) => environments.some((one) => one.name === environment));
  if (source !== undefined && !plans.some(({ sources }) => sources.some((one) => one.source === source)))
    throw unknown("unknown_source", `There is no source ${quoted(source)}.`);
  const stream = streams.open(response, SSE_HEADERS);
  // Tells the watcher that from here on nothing is missed.
  await stream.write(": listening\n\n");
  const stopHeartbeat = heartbeat(view.clock, stream, isAllowed);
  const filter = { ...names, ...(source === undefined ? {} : { source }) };
  const { signal } = stream;
  const options = { clock: view.clock, emit: (text: string) => stream.write(text), signal, shared };
  try {
    await Promise.all(environments.map(({ log, name: environment }) => tail(log, { environment, ...filter }, options)));
  } finally {
    stopHeartbeat();
    stream.end();
  }
}
