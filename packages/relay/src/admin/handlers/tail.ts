import type { Clock } from "@waybill/core";
import { quoted, unknown } from "../refusal.ts";
import { tail } from "../tail.ts";
import type { AdminView } from "../view.ts";
import type { Call } from "./call.ts";
import { chosenEnvironment } from "./lookup.ts";

const HEARTBEAT_MS = 15_000;
const SSE_HEADERS = { "content-type": "text/event-stream", "cache-control": "no-store", connection: "keep-alive" };

/** Streams events as they are stored, of one environment or of all. */
export async function streamTail(view: AdminView, { response, query, streams }: Call<"tail">): Promise<void> {
  const { environment: name, source } = query;
  const environments = name === undefined ? view.environments() : [chosenEnvironment(view, name)];
  const plans = view.plan().filter(({ environment }) => environments.some((one) => one.name === environment));
  if (source !== undefined && !plans.some(({ sources }) => sources.some((one) => one.source === source)))
    throw unknown("unknown_source", `There is no source ${quoted(source)}.`);
  const stream = streams.open(response, SSE_HEADERS);
  // Tells the watcher that from here on nothing is missed.
  await stream.write(": listening\n\n");
  const stopHeartbeat = heartbeat(view.clock, () => stream.write(": still here\n\n"));
  const filter = source === undefined ? {} : { source };
  try {
    await Promise.all(
      environments.map(({ log, name: environment }) =>
        tail(log, { environment, ...filter }, (text) => stream.write(text), stream.signal),
      ),
    );
  } finally {
    stopHeartbeat();
    stream.end();
  }
}

/** Keeps proxies on the way from closing a quiet stream, and notices a reader that is gone. */
function heartbeat(clock: Clock, beat: () => Promise<boolean>): () => void {
  let timer = clock.after(HEARTBEAT_MS, next);
  let isOver = false;
  function next(): void {
    void beat().then((goesOn) => {
      if (goesOn && !isOver) timer = clock.after(HEARTBEAT_MS, next);
    });
  }
  return () => {
    isOver = true;
    timer.cancel();
  };
}
