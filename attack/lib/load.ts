/** Healthy requests that go on beside an attack. */
import { check, cut, pause } from "./check.ts";
import { keepAlive } from "./http.ts";
import type { Relay } from "./relay.ts";
import { basic, KEY, newId, track } from "./stage.ts";

export interface Load {
  /** Ids that were answered with 200. */
  readonly acknowledged: readonly string[];
  /** Ends it. **Errors**: `Broken` when a request was refused, or none was answered. */
  stop(): Promise<void>;
}

const PAUSE_MS = 20;

/** One healthy request with a key after another; each must be answered 200 in time. */
export function keepSending(relay: Relay, timeoutMs = 5_000): Load {
  const agent = keepAlive(1, relay.isSecure);
  const acknowledged: string[] = [];
  let refused = "";
  let stopping = false;
  const sending = (async (): Promise<void> => {
    while (!stopping) {
      const id = newId("beside");
      const body = JSON.stringify({ batch: [track(id)] });
      try {
        const asked = { path: "/v1/batch", headers: basic(KEY), body, agent, timeoutMs };
        const { status, text } = await relay.ask(asked);
        if (status === 200) acknowledged.push(id);
        else refused ||= `a healthy request with a key was answered ${status} meanwhile: ${cut(text)}`;
      } catch (error) {
        refused ||= `a healthy request with a key meanwhile: ${(error as Error).message}`;
      }
      await pause(PAUSE_MS);
    }
    agent.destroy();
  })();
  return {
    acknowledged,
    async stop() {
      stopping = true;
      await sending;
      check(refused === "", refused);
      check(acknowledged.length > 0, "no healthy request was answered meanwhile");
    },
  };
}
