/**
 * Callers that wait for a vendor's own answer to their event, at any relay: each gets the one to
 * its own event, in time, or hears that the event is stored.
 */
import { resolveEnvironment } from "@waybill/relay/headless";
import {
  emulators,
  type SeededRandom,
  type ServerHandler,
  type ServerRequest,
  type ServerResponse,
  type VirtualClock,
} from "@waybill/testing";
import { ENVIRONMENT } from "./names.ts";

export const CALLERS_ORIGIN = "http://callers.test";
/** Of the source that takes their events. */
export const CALLERS_SOURCE = "callers";
/** Of their destination, among those of the other vendors. */
export const CALLERS_INDEX = 9;

type Config = ReturnType<typeof resolveEnvironment>;

const KEY = "callers.secret";
const USERS = 8;
const REFUSED_SHARE = 0.15;
/** Of the vendor's answers. */
const TROUBLE_SHARE = 0.2;
/** What an answer may take on the relay's own way. */
const SLACK_MS = 50;

/** The events of the callers go to their vendor alone, and it gets no others. */
export function withCallers(config: Config): Config {
  const callers = resolveEnvironment(ENVIRONMENT, {
    sources: { [CALLERS_SOURCE]: { protocol: "trophy", writeKeys: [KEY] } },
    destinations: {
      [`emulator${CALLERS_INDEX}`]: {
        vendor: "trophy",
        url: CALLERS_ORIGIN,
        writeKey: KEY,
        sources: [CALLERS_SOURCE],
        timeout: 12_000,
        backoff: { base: 100, max: 2_000 },
        batch: { linger: 1 },
      },
    },
  });
  const others = config.sources.map(({ name }) => name);
  return {
    ...config,
    sources: [...config.sources, ...callers.sources],
    destinations: [...config.destinations.map((one) => ({ ...one, sources: others })), ...callers.destinations],
  };
}

interface Call {
  readonly key: string;
  /** The vendor is to refuse it for good. */
  readonly isRefused: boolean;
  answer?: ServerResponse;
}

export interface CallersOptions {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly count: (what: string) => void;
  readonly onViolation: (what: string) => void;
}

/** What a lane says of an event of a caller's. */
export interface CallOutcome {
  readonly outcome: string;
  /** It need not have an outcome any more. */
  readonly isGone: boolean;
}

export class Callers {
  readonly #options: CallersOptions;
  readonly #emulator: emulators.TrophyEmulator;
  readonly #calls: Call[] = [];
  /** What the vendor has answered, by key. */
  readonly #statuses = new Map<string, Set<number>>();
  #isCalm = false;

  constructor(options: CallersOptions) {
    this.#options = options;
    this.#emulator = new emulators.TrophyEmulator({ clock: options.clock, apiKeys: [KEY] });
  }

  /** The vendor: slow, silent or down now and then. */
  readonly handle: ServerHandler = async (request) => {
    const { random } = this.#options;
    if (!this.#isCalm && random.chance(TROUBLE_SHARE))
      this.#emulator.fail({
        kind: random.pick(["status", "reset", "resetAfter", "hang", "slow"] as const),
        status: random.pick([500, 503, 429]),
        delayMs: random.below(1_500),
        times: 1,
      });
    const answer = await this.#emulator.handle(request);
    const key = request.headers["idempotency-key"] ?? "";
    this.#statuses.set(key, (this.#statuses.get(key) ?? new Set<number>()).add(answer.status));
    return answer;
  };

  recover(): void {
    this.#isCalm = true;
    this.#emulator.recover();
  }

  /** One of them, at the relay that answers so. */
  call(handle: ServerHandler): void {
    const { random } = this.#options;
    const call: Call = { key: `call-${this.#calls.length}`, isRefused: random.chance(REFUSED_SHARE) };
    this.#calls.push(call);
    const event = { user: { id: `user-${random.below(USERS)}` }, value: 1, ...(call.isRefused ? REFUSED : {}) };
    void Promise.resolve(handle(requestOf(call.key, event))).then((answer) => {
      call.answer = answer;
      this.#judge(call, answer);
    });
  }

  /** Seconds are the relay's own. */
  readonly onAnswered = (waitedMs: number, deadlineMs: number): void => {
    if (waitedMs > deadlineMs + SLACK_MS)
      this.#options.onViolation(`a caller waited for ${waitedMs} ms, at most ${deadlineMs} are promised`);
  };

  #judge(call: Call, answer: ServerResponse): void {
    const { count, onViolation } = this.#options;
    const { key, isRefused } = call;
    switch (kindOf(answer)) {
      case "vendor": {
        count("callerAnswered");
        const known = this.#statuses.get(key);
        const { idempotencyKey = key } = JSON.parse(answer.body) as { readonly idempotencyKey?: unknown };
        if (idempotencyKey !== key) onViolation(`the caller of ${key} got the answer to ${String(idempotencyKey)}`);
        if (known?.has(answer.status) !== true)
          onViolation(`the caller of ${key} got ${answer.status}, the vendor answered ${[...(known ?? [])].join()}`);
        if (isRefused !== answer.status >= 400)
          onViolation(`the caller of ${key} got ${answer.status}: ${answer.body}`);
        return;
      }
      case "stored":
        return count("callerHearsStored");
      case "late":
        return count("callerNotAnsweredInTime");
      default:
    }
  }

  /** Ids of what callers know to be stored. */
  get stored(): readonly string[] {
    return this.#calls.flatMap(({ key, answer }) => (answer !== undefined && isStored(answer) ? [key] : []));
  }

  /** What the ledger says of an event has to be what its caller heard. By key: of each copy. */
  check(outcomes: ReadonlyMap<string, readonly CallOutcome[]>): readonly string[] {
    return this.#calls.flatMap(({ key, answer }) => {
      if (answer === undefined || kindOf(answer) !== "vendor") return [];
      const wanted = answer.status < 400 ? "delivered" : "rejected";
      const found = outcomes.get(key) ?? [];
      const isTrue = found.some(({ outcome, isGone }) => isGone || outcome === wanted);
      const known = found.map(({ outcome }) => outcome).join();
      return isTrue ? [] : [`the caller of ${key} got ${answer.status}, the ledger has it as ${known}`];
    });
  }
}

const REFUSED = { attributes: { odd: "x" } };

function requestOf(key: string, event: object): ServerRequest {
  const headers = { "x-api-key": KEY, "idempotency-key": key, "content-type": "application/json" };
  return { method: "POST", path: "/v1/metrics/words/event", headers, body: Buffer.from(JSON.stringify(event)) };
}

/** Whose answer it is; `undefined`: the event need not be stored. */
function kindOf({ status, body, fault }: ServerResponse): "vendor" | "stored" | "late" | undefined {
  if (fault !== undefined) return undefined;
  const { stored } = JSON.parse(body) as { readonly stored?: unknown };
  if (stored === true) return status === 503 ? "late" : "stored";
  return status === 503 ? undefined : "vendor";
}

function isStored(answer: ServerResponse): boolean {
  return kindOf(answer) !== undefined;
}
