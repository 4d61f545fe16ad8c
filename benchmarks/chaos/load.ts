/** Clients that send until they have an answer, with the same ids again. */
import { Agent, request } from "node:http";
import { createUuidV7 } from "@waybill/core";
import { nodeClock, nodeRandom } from "@waybill/node";
import type { SeededRandom } from "@waybill/testing";

export const WORKERS = 8;
const USERS_EACH = 25;
export const USERS: number = WORKERS * USERS_EACH;
const RETRY_PAUSE_MS = 5;

interface Work {
  /** Of its users. */
  readonly name: string;
  /** Where the next attempt goes to. */
  readonly port: () => number;
  /** Without an answer for so long an attempt has failed. Default: never. */
  readonly timeoutMs?: number;
  /** After an acknowledged request. Default 0. */
  readonly pauseMs?: number;
  /** After one without an acknowledgement. Default 5. */
  readonly retryPauseMs?: number;
  readonly stopping: () => boolean;
  readonly random: SeededRandom;
  /** Called only after the 2xx. */
  readonly acknowledge: (ids: readonly string[]) => void;
  readonly answered: (status: number) => void;
}

/** Sends batches one after another; one without an answer is sent again with the same ids. */
export async function work(options: Work): Promise<void> {
  const { name, stopping, random, acknowledge, answered, pauseMs = 0 } = options;
  const makeId = createUuidV7(nodeClock, nodeRandom);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let number = 0;
  while (!stopping()) {
    const ids = Array.from({ length: 1 + random.below(40) }, makeId);
    const batch = ids.map((messageId) => ({
      type: "track",
      event: "Chaos",
      userId: `${name}-${random.below(USERS_EACH)}`,
      messageId,
      properties: { n: number++, pad: "x".repeat(random.below(400)) },
    }));
    const body = JSON.stringify({ batch });
    for (;;) {
      const status = await post(options, body, agent);
      answered(status);
      if (status === 200) break;
      await pause(options.retryPauseMs ?? RETRY_PAUSE_MS);
    }
    acknowledge(ids);
    if (pauseMs > 0) await pause(pauseMs);
  }
  agent.destroy();
}

/** The status; 0 without an answer. */
function post({ port, timeoutMs }: Work, body: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        port: port(),
        host: "127.0.0.1",
        agent,
        method: "POST",
        path: "/v1/batch",
        auth: "bench:",
        ...(timeoutMs === undefined ? {} : { signal: AbortSignal.timeout(timeoutMs) }),
        headers: { "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
        response.on("error", () => resolve(0));
      },
    );
    outgoing.on("error", () => resolve(0));
    outgoing.end(body);
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
