/** Vendors with limits, and a lane that sends to them all the time: what a limiter is tuned on. */
import {
  type Batch,
  type Clock,
  createSender,
  fullJitter,
  type HttpResponse,
  Limiter,
  type LimiterOptions,
  outcomesOf,
  type Protocol,
  retryAfterMs,
  type Sender,
  TextBatch,
  type Transport,
} from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";

const SECOND_MS = 1_000;
/** A request of this chain takes a third of these at most. */
const SETTLE_TURNS = 60;
const OK = 200;
const TOO_MANY_REQUESTS = 429;

/** Whether a request is taken now, and what is over once it is answered. */
export interface VendorLimit {
  take(nowMs: number): boolean;
  done(): void;
  /** Requests per second that it takes at most, at this time. */
  perSecond(nowMs: number): number;
  /** How much longer an answer takes than when nothing else is in flight. */
  slowdown?(): number;
}

/** A value at a time. */
type Rate = (nowMs: number) => number;

export function tokenBucket(rate: Rate, burstSeconds: number): VendorLimit {
  let tokens = Math.max(1, rate(0) * burstSeconds);
  let at = 0;
  return {
    perSecond: rate,
    take(nowMs) {
      const perSecond = rate(nowMs);
      tokens = Math.min(Math.max(1, perSecond * burstSeconds), tokens + ((nowMs - at) * perSecond) / SECOND_MS);
      at = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    done: () => undefined,
  };
}

export function fixedWindows(rate: Rate): VendorLimit {
  let window = -1;
  let count = 0;
  return {
    perSecond: rate,
    take(nowMs) {
      const current = Math.floor(nowMs / SECOND_MS);
      if (current !== window) {
        window = current;
        count = 0;
      }
      if (count >= rate(nowMs)) return false;
      count += 1;
      return true;
    },
    done: () => undefined,
  };
}

export function concurrency(most: Rate, latencyMs: number): VendorLimit {
  let inFlight = 0;
  return {
    perSecond: (nowMs) => (most(nowMs) * SECOND_MS) / latencyMs,
    take(nowMs) {
      if (inFlight >= most(nowMs)) return false;
      inFlight += 1;
      return true;
    },
    done() {
      inFlight -= 1;
    },
  };
}

/** Answers `servers` requests at once; the others wait. */
export function queueing(servers: Rate, latencyMs: number): VendorLimit {
  let inFlight = 0;
  let at = 0;
  return {
    perSecond: (nowMs) => (servers(nowMs) * SECOND_MS) / latencyMs,
    take(nowMs) {
      at = nowMs;
      inFlight += 1;
      return true;
    },
    done() {
      inFlight -= 1;
    },
    slowdown: () => Math.max(1, inFlight / servers(at)),
  };
}

export interface SimulationOptions {
  readonly limit: VendorLimit;
  readonly seed: number;
  readonly latencyMs: number;
  /** An answer takes this share more or less. Default 0.3. */
  readonly jitter?: number;
  /** Of the latency, on the way to the vendor and back. Default 0.2. */
  readonly networkShare?: number;
  /** An answer is looked at so much later. Default: at once. */
  readonly lateMs?: Rate;
  /** What the lane takes between an answer and its next request. Default 0. */
  readonly prepareMs?: number;
  readonly seconds: number;
  readonly options?: LimiterOptions;
  readonly backoffBaseMs?: number;
}

export interface Second {
  readonly accepted: number;
  readonly refused: number;
  readonly limit: number;
  readonly inFlight: number;
}

function batchOf(key: string): Batch {
  return new TextBatch({ key, metadata: "", oldestAtMs: 0, texts: ["{}"], sizes: [2] });
}

export const ONE_EVENT: Protocol = {
  limits: { maxEvents: 1, maxBytes: 100 },
  maxEventBytes: 100,
  request: ({ body }) => ({ method: "POST", url: "http://vendor.test", headers: {}, body }),
  classify(response, { count }, nowMs) {
    const { status } = response;
    if (status < 300) return outcomesOf(count, { status: "delivered" });
    const waitMs = retryAfterMs(response, nowMs);
    return outcomesOf(count, {
      status: "retryable",
      reason: String(status),
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    });
  },
};

/** What the vendor saw, second by second, of a lane that always has more to send. */
export async function simulate(simulation: SimulationOptions): Promise<readonly Second[]> {
  const { seed, seconds, options = { maxInFlight: 64 } } = simulation;
  const clock = new VirtualClock(undefined, SETTLE_TURNS);
  const random = new SeededRandom(seed);
  const limiter = new Limiter(clock, options);
  const counts = Array.from({ length: seconds + 1 }, () => ({ accepted: 0, refused: 0 }));
  const inFlight: number[] = [];
  const transport = vendor(simulation, clock, random, (accepted) => {
    const second = counts[Math.floor(clock.monotonic() / SECOND_MS)];
    if (second !== undefined) second[accepted ? "accepted" : "refused"] += 1;
  });
  const sender = createSender({
    protocol: ONE_EVENT,
    runtime: { clock, random, transport },
    timeoutMs: 30_000,
    backoff: fullJitter(simulation.backoffBaseMs ?? SECOND_MS, 60_000),
    maxAttempts: Number.POSITIVE_INFINITY,
    limit: limiter.stage,
  });
  keepBusy(limiter, sender, () => pass(clock, simulation.prepareMs ?? 0));
  for (let second = 0; second < seconds; second++) {
    await clock.advance(SECOND_MS);
    inFlight.push(limiter.view().inFlight);
  }
  return inFlight.map((now, second) => ({
    ...(counts[second] as { accepted: number; refused: number }),
    limit: simulation.limit.perSecond((second + 0.5) * SECOND_MS),
    inFlight: now,
  }));
}

/** Leases as a lane does, for ever. */
function keepBusy(limiter: Limiter, sender: Sender, prepare: () => Promise<void>): void {
  const watch = { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined };
  let flights = 0;
  let batches = 0;
  const fly = async (): Promise<void> => {
    await prepare();
    const { signal } = new AbortController();
    await sender.send(batchOf(`b${batches++}`), { soon: signal, now: signal, watch });
    flights -= 1;
    fill();
  };
  const fill = (): void => {
    while (flights < limiter.width) {
      flights += 1;
      void fly();
    }
  };
  fill();
}

function pass(clock: Clock, ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => clock.after(ms, resolve));
}

function vendor(
  { limit, latencyMs, jitter = 0.3, networkShare = 0.2, lateMs = () => 0 }: SimulationOptions,
  clock: Clock,
  random: SeededRandom,
  count: (accepted: boolean) => void,
): Transport {
  const around = (ms: number): number => ms * (1 - jitter + 2 * jitter * random.next());
  const answer = (status: number, headers: Readonly<Record<string, string>> = {}): HttpResponse => ({
    status,
    headers,
    body: "",
  });
  return async () => {
    const oneWayMs = (latencyMs * networkShare) / 2;
    await pass(clock, around(oneWayMs));
    const taken = limit.take(clock.monotonic());
    count(taken);
    if (taken) {
      await pass(clock, around(latencyMs * (1 - networkShare)) * (limit.slowdown?.() ?? 1));
      limit.done();
    }
    await pass(clock, around(oneWayMs) + lateMs(clock.monotonic()));
    return taken ? answer(OK) : answer(TOO_MANY_REQUESTS, { "retry-after": "1" });
  };
}

export interface Summary {
  readonly usedShare: number;
  readonly refusedShare: number;
  /** From `from` until the twenty seconds that use nine tenths of the limit. */
  readonly convergedS: number;
}

const SPAN_S = 20;
const USED_GOAL = 0.9;
const REFUSED_GOAL = 0.02;

/** From second `from` on: when it had converged, and the shares after that. */
export function summarise(all: readonly Second[], from = 0): Summary {
  let converged = all.length;
  for (let second = from; second + SPAN_S <= all.length; second++) {
    const { usedShare, refusedShare } = shares(all.slice(second, second + SPAN_S));
    if (usedShare < USED_GOAL || refusedShare > REFUSED_GOAL) continue;
    converged = second;
    break;
  }
  return { ...shares(all.slice(converged)), convergedS: converged - from };
}

function shares(seconds: readonly Second[]): { readonly usedShare: number; readonly refusedShare: number } {
  const sum = (pick: (second: Second) => number): number => seconds.reduce((total, second) => total + pick(second), 0);
  const accepted = sum((second) => second.accepted);
  const refused = sum((second) => second.refused);
  return {
    usedShare: accepted / sum((second) => second.limit),
    refusedShare: refused / Math.max(1, accepted + refused),
  };
}
