/** Well-formed requests, and many of them. Ill-formed ones are those of raw.ts. */
import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { request as requestSecure, Agent as SecureAgent } from "node:https";
import { Broken } from "./check.ts";

export interface Ask {
  readonly port: number;
  /** Over TLS; whose certificate it is does not matter here. */
  readonly secure?: boolean;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  /** From the start to the end of the answer. */
  readonly timeoutMs?: number;
  readonly localAddress?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly ms: number;
}

/** No answer may take longer, whatever the request was. */
export const ANSWER_MAX_MS = 5_000;

/** **Errors**: {@link Broken} when there is no whole answer in time. */
export function ask({ port, method = "POST", path = "/", headers = {}, body, ...options }: Ask): Promise<Answer> {
  const { agent, timeoutMs = ANSWER_MAX_MS, localAddress, secure = false } = options;
  const startedAtMs = performance.now();
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(new Broken(`no answer to ${method} ${path}: ${error.message}`));
    };
    const outgoing = (secure ? requestSecure : request)(
      {
        port,
        host: "127.0.0.1",
        method,
        path,
        agent: agent ?? false,
        rejectUnauthorized: false,
        headers: { ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }), ...headers },
        ...(localAddress === undefined ? {} : { localAddress }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", fail);
        incoming.on("end", () => {
          clearTimeout(timer);
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text: Buffer.concat(chunks).toString(),
            ms: performance.now() - startedAtMs,
          });
        });
      },
    );
    const timer = setTimeout(() => outgoing.destroy(new Error(`nothing within ${timeoutMs} ms`)), timeoutMs);
    outgoing.on("error", fail);
    outgoing.end(body);
  });
}

/** One that keeps its connections. */
export function keepAlive(maxSockets: number, secure = false): Agent {
  return secure ? new SecureAgent({ keepAlive: true, maxSockets }) : new Agent({ keepAlive: true, maxSockets });
}

export interface Flood {
  /** Answers by status; 0 for none. */
  readonly byStatus: ReadonlyMap<number, number>;
  readonly slowestMs: number;
  readonly answers: readonly Answer[];
}

/** `count` requests, `parallel` at once, each on a connection of the flood's own. */
export async function flood(
  count: number,
  parallel: number,
  requestAt: (index: number) => Omit<Ask, "agent">,
): Promise<Flood> {
  const agent = keepAlive(parallel);
  const byStatus = new Map<number, number>();
  const answers: Answer[] = [];
  let slowestMs = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const answer = await ask({ ...requestAt(next++), agent }).catch(() => undefined);
      if (answer !== undefined) answers.push(answer);
      slowestMs = Math.max(slowestMs, answer?.ms ?? 0);
      const status = answer?.status ?? 0;
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, worker));
  agent.destroy();
  return { byStatus, slowestMs, answers };
}

/** `200: 3, 503: 1`. */
export function statuses(byStatus: ReadonlyMap<number, number>): string {
  return [...byStatus].map(([status, count]) => `${status === 0 ? "no answer" : status}: ${count}`).join(", ");
}
