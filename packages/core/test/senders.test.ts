import {
  type Batch,
  createSender,
  fullJitter,
  type HttpResponse,
  Limiter,
  type Outcome,
  type Protocol,
  type SendContext,
  type Sender,
  singly,
  TextBatch,
  type Transport,
  WaybillError,
} from "@waybill/core";
import { SeededRandom, settle, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

type Answer = "delivered" | "later" | "halted" | "split" | "hang" | "reset" | readonly Outcome["status"][];

interface World {
  readonly clock: VirtualClock;
  readonly answers: Answer[];
  readonly requests: { readonly keys: string; readonly count: number; readonly atMs: number }[];
  readonly waits: number[];
  readonly soon: AbortController;
  send(given: number | readonly string[]): { outcomes: readonly Outcome[] | undefined };
}

function setUp(
  options: {
    readonly maxAttempts?: number;
    readonly maxRequestsPerSecond?: number;
    readonly retryAfterMs?: number;
    readonly seed?: number;
  } = {},
): World {
  const clock = new VirtualClock();
  const answers: Answer[] = [];
  const requests: { keys: string; count: number; atMs: number }[] = [];
  const waits: number[] = [];
  const soon = new AbortController();
  let current: Batch | undefined;
  const protocol: Protocol = {
    limits: { maxEvents: 100, maxBytes: 10_000 },
    maxEventBytes: 50,
    request(batch) {
      current = batch;
      requests.push({ keys: batch.key, count: batch.count, atMs: clock.monotonic() });
      return { method: "POST", url: "http://x", headers: {}, body: batch.body };
    },
    classify(response, batch) {
      const answer = JSON.parse(response.body) as Answer;
      const outcome = (status: string): Outcome =>
        status === "delivered"
          ? { status }
          : ({
              status,
              reason: status,
              ...(options.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs }),
            } as Outcome);
      if (answer === "split") return { split: true, reason: "bad" };
      if (Array.isArray(answer)) return (answer as string[]).map(outcome);
      return Array.from({ length: batch.count }, () => outcome(answer === "later" ? "retryable" : (answer as string)));
    },
  };
  const transport: Transport = async (_request, signal): Promise<HttpResponse> => {
    const answer = answers.shift() ?? "delivered";
    if (answer === "reset") throw new WaybillError("WAYBILL_TRANSPORT", "reset", { reason: "reset" });
    if (answer === "hang")
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    expect(current).toBeDefined();
    return { status: 200, headers: {}, body: JSON.stringify(answer) };
  };
  const sender = createSender({
    protocol,
    runtime: { clock, random: new SeededRandom(options.seed ?? 3), transport },
    timeoutMs: 1_000,
    backoff: fullJitter(100, 1_000),
    maxAttempts: options.maxAttempts ?? Number.POSITIVE_INFINITY,
    ...(options.maxRequestsPerSecond === undefined
      ? {}
      : { limit: new Limiter(clock, { maxInFlight: 1, maxPerSecond: options.maxRequestsPerSecond }).stage }),
  });
  const context: SendContext = {
    soon: soon.signal,
    now: new AbortController().signal,
    watch: { attempted: () => undefined, waiting: (ms) => waits.push(ms), resumed: () => undefined },
  };
  return {
    clock,
    answers,
    requests,
    waits,
    soon,
    send(given) {
      const texts = typeof given === "number" ? Array.from({ length: given }, (_, index) => `{"n":${index}}`) : given;
      const result: { outcomes: readonly Outcome[] | undefined } = { outcomes: undefined };
      void sender
        .send(
          new TextBatch({
            key: "batch",
            metadata: "",
            oldestAtMs: 0,
            texts,
            sizes: texts.map((text) => Buffer.byteLength(text)),
          }),
          context,
        )
        .then((outcomes) => {
          result.outcomes = outcomes;
        });
      return result;
    },
  };
}

const statuses = (outcomes: readonly Outcome[] | undefined): string[] | undefined =>
  outcomes?.map(({ status }) => status);

test("the same batch goes again under the same key until it is delivered", async () => {
  const { clock, answers, requests, send } = setUp();
  answers.push("later", "reset", "later");
  const result = send(2);
  await clock.until(() => result.outcomes !== undefined);
  expect(statuses(result.outcomes)).toEqual(["delivered", "delivered"]);
  expect(requests.map(({ keys }) => keys)).toEqual(new Array(4).fill("batch"));
});

test("waits are random up to a ceiling that doubles to its maximum", async () => {
  for (let seed = 0; seed < 30; seed++) {
    const { clock, answers, waits, send } = setUp({ seed });
    answers.push(...new Array<Answer>(8).fill("later"));
    const result = send(1);
    await clock.until(() => result.outcomes !== undefined);
    for (const [index, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(Math.min(1_000, 100 * 2 ** index));
  }
});

test("waits grow beyond a Retry-After that is shorter than they are", async () => {
  const longest = [];
  for (let seed = 0; seed < 30; seed++) {
    const { clock, answers, waits, send } = setUp({ seed, retryAfterMs: 50 });
    answers.push(...new Array<Answer>(8).fill("later"));
    const result = send(1);
    await clock.until(() => result.outcomes !== undefined);
    for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(50);
    longest.push(Math.max(...waits));
  }
  expect(Math.max(...longest)).toBeGreaterThan(800);
});

test("the vendor's Retry-After is a lower bound", async () => {
  const { clock, answers, waits, send } = setUp({ retryAfterMs: 5_000 });
  answers.push("later");
  const result = send(1);
  await clock.until(() => result.outcomes !== undefined);
  expect(waits[0]).toBeGreaterThanOrEqual(5_000);
});

test("only what may succeed later goes again, and nothing overtakes it", async () => {
  const { clock, answers, requests, send } = setUp();
  answers.push(["delivered", "retryable", "rejected", "retryable"], "delivered", "later", "delivered");
  const result = send(4);
  await clock.until(() => result.outcomes !== undefined);
  expect(statuses(result.outcomes)).toEqual(["delivered", "delivered", "rejected", "delivered"]);
  expect(requests.map(({ count }) => count)).toEqual([4, 1, 1, 1]);
});

test("halted ends at once and spares what has its outcome", async () => {
  const { clock, answers, send } = setUp();
  answers.push(["delivered", "retryable", "retryable"], "halted");
  const result = send(3);
  await clock.until(() => result.outcomes !== undefined);
  expect(statuses(result.outcomes)).toEqual(["delivered", "halted", "halted"]);
});

test("attempts that are used up reject, with the number and the last reason", async () => {
  const { clock, answers, send, requests } = setUp({ maxAttempts: 3 });
  answers.push("later", "later", "later");
  const result = send(1);
  await clock.until(() => result.outcomes !== undefined);
  expect(result.outcomes).toEqual([{ status: "rejected", reason: "gave up after 3 attempts: retryable" }]);
  expect(requests).toHaveLength(3);
});

test("an interrupted wait leaves the events retryable", async () => {
  const { answers, send, soon } = setUp();
  answers.push("later");
  const result = send(2);
  await settle();
  soon.abort();
  await settle();
  expect(statuses(result.outcomes)).toEqual(["retryable", "retryable"]);
});

test("an event above the vendor's limit is refused alone, also beside others, which go in as few requests as they can", async () => {
  const { clock, requests, send } = setUp();
  const large = ["x".repeat(51), "é".repeat(26)];
  const result = send(["a", "b", large[0] as string, "c", "y".repeat(50), large[1] as string]);
  await clock.advance(0);
  expect(result.outcomes?.map(({ status }) => status)).toEqual([
    "delivered",
    "delivered",
    "rejected",
    "delivered",
    "delivered",
    "rejected",
  ]);
  expect(result.outcomes?.[5]).toEqual({
    status: "rejected",
    reason: "event of 52 bytes; the vendor takes at most 50",
  });
  expect(requests.map(({ keys, count }) => [keys, count])).toEqual([
    ["batch.0-2", 2],
    ["batch.3-6.0-2", 2],
  ]);
});

test("what follows an event above the limit waits for what is before it", async () => {
  const { clock, answers, requests, send } = setUp({ maxAttempts: 1 });
  answers.push("later");
  const result = send(["a", "x".repeat(51), "b"]);
  await clock.advance(0);
  expect(result.outcomes?.some(({ status }) => status === "delivered")).toBe(false);
  expect(requests.map(({ count }) => count)).toEqual([1]);
});

test("halves find the event at fault; the others are delivered in order", async () => {
  const { clock, answers, requests, send } = setUp();
  // 8 -> 4 | 4 -> 2 2 -> 1 1: the sixth is at fault.
  answers.push("split", "delivered", "split", "split", "delivered", "split", "delivered");
  const result = send(8);
  await clock.until(() => result.outcomes !== undefined);
  expect(statuses(result.outcomes)).toEqual([
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "delivered",
    "rejected",
    "delivered",
    "delivered",
  ]);
  expect(requests.map(({ count }) => count)).toEqual([8, 4, 4, 2, 1, 1, 2]);
});

test("a request that is not answered in time is retryable and says so", async () => {
  const { clock, answers, send } = setUp({ maxAttempts: 1 });
  answers.push("hang");
  const result = send(1);
  await clock.advance(1_001);
  expect(result.outcomes).toEqual([
    { status: "rejected", reason: "gave up after 1 attempts: no answer within 1000 ms" },
  ]);
});

test("requests are spaced at the rate limit", async () => {
  const { clock, answers, requests, send } = setUp({ maxRequestsPerSecond: 10 });
  answers.push("split", "delivered", "split", "delivered", "delivered");
  const result = send(4);
  await clock.until(() => result.outcomes !== undefined);
  const [first, ...later] = requests.map(({ atMs }) => atMs);
  expect(later).toHaveLength(4);
  // One that comes late may be made up for, by 20 ms.
  for (const [index, atMs] of later.entries())
    expect(atMs - (first ?? 0)).toBeGreaterThanOrEqual(100 * (index + 1) - 20);
});

test("events that go singly: several at once, fewer after a failure, more again afterwards; nothing overtakes its key", async () => {
  let inFlight = 0;
  let most = 0;
  let failing = false;
  const sent: string[] = [];
  const one: Sender = {
    async send(batch) {
      inFlight += 1;
      most = Math.max(most, inFlight);
      for (let turn = 0; turn < 3; turn++) await Promise.resolve();
      inFlight -= 1;
      if (failing) return [{ status: "retryable", reason: "503" }];
      sent.push(String(batch.event(0)));
      return [{ status: "delivered" }];
    },
  };
  const sender = singly({ concurrency: 8, orderKey: (event) => String(event).charAt(0) })(
    one,
    undefined as never,
    new VirtualClock(),
  );
  const context: SendContext = {
    soon: new AbortController().signal,
    now: new AbortController().signal,
    watch: { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined },
  };
  const send = async (texts: readonly string[]): Promise<readonly Outcome[]> => {
    most = 0;
    return sender.send(
      new TextBatch({ key: "k", metadata: "", oldestAtMs: 0, texts, sizes: texts.map(() => 1) }),
      context,
    );
  };
  const texts = Array.from({ length: 24 }, (_, index) => `${"abcdefgh".charAt(index % 8)}${index}`);
  expect(new Set((await send(texts)).map(({ status }) => status))).toEqual(new Set(["delivered"]));
  expect(most).toBe(8);
  for (const key of "abcdefgh") {
    const own = sent.filter((text) => text.startsWith(key)).map((text) => Number(text.slice(1)));
    expect(own).toEqual(own.toSorted((a, b) => a - b));
  }
  failing = true;
  const failed = await send(texts);
  expect(failed).toHaveLength(24);
  expect(new Set(failed.map(({ status }) => status))).toEqual(new Set(["retryable"]));
  failing = false;
  await send(texts);
  expect(most).toBe(4);
  await send(texts);
  expect(most).toBe(5);
});
