/**
 * An event harms only itself, a vendor only its lane: whatever each of them makes throw ends as an
 * outcome.
 */
import {
  type Attempt,
  checkedTransport,
  createSender,
  DELIVERED,
  type HttpRequest,
  type HttpResponse,
  type Outcome,
  outcomesOf,
  type Protocol,
  type Rewrite,
  rewrite,
  type SendContext,
  type SenderOptions,
  singly,
  TextBatch,
  translating,
  WaybillError,
  withSafeReasons,
} from "@waybill/core";
import { SeededRandom, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const OK: HttpResponse = { status: 200, headers: {}, body: "" };

interface World {
  readonly clock: VirtualClock;
  readonly requests: HttpRequest[];
  readonly attempts: Attempt[];
  readonly now: AbortController;
  /** What becomes of the events, once it is known. */
  send(...texts: string[]): Promise<readonly Outcome[]>;
}

function setUp(
  protocol: Partial<Protocol> = {},
  options: Partial<SenderOptions> = {},
  answer: (request: HttpRequest, signal: AbortSignal) => Promise<HttpResponse> = () => Promise.resolve(OK),
): World {
  const clock = new VirtualClock();
  const requests: HttpRequest[] = [];
  const attempts: Attempt[] = [];
  const now = new AbortController();
  // As the relay has it.
  const chain = createSender({
    protocol: {
      limits: { maxEvents: 100, maxBytes: 100_000 },
      maxEventBytes: 100_000,
      request: ({ body }) => ({ method: "POST", url: "http://vendor.test/", headers: {}, body }),
      classify: (_response, { count }) => outcomesOf(count, DELIVERED),
      ...protocol,
    },
    runtime: {
      clock,
      random: new SeededRandom(1),
      transport: checkedTransport((request, signal) => {
        requests.push(request);
        return answer(request, signal);
      }),
    },
    timeoutMs: 1_000,
    backoff: () => 10,
    maxAttempts: 2,
    exhausted: "keep",
    ...options,
  });
  const sender = withSafeReasons(chain);
  const context: SendContext = {
    soon: new AbortController().signal,
    now: now.signal,
    watch: { attempted: (attempt) => attempts.push(attempt), waiting: () => undefined, resumed: () => undefined },
  };
  return {
    clock,
    requests,
    attempts,
    now,
    async send(...texts) {
      const sizes = texts.map(({ length }) => length);
      let outcomes: readonly Outcome[] | undefined;
      let thrown: unknown;
      sender.send(new TextBatch({ key: "k", metadata: "", oldestAtMs: 0, texts, sizes }), context).then(
        (result) => (outcomes = result),
        (error: unknown) => (thrown = error),
      );
      await clock.until(() => outcomes !== undefined || thrown !== undefined);
      if (outcomes === undefined) throw thrown;
      return outcomes;
    },
  };
}

const bodies = ({ requests }: World): string[] => requests.map(({ body }) => body.join(""));
const rejectedBecause = (reason: unknown): object => ({ status: "rejected", reason });
/** What may be thrown: not even its text can be had. */
const HOSTILE: unknown = { toString: null, valueOf: null };

test("a translation that throws rejects its event, whatever it throws; the others go on, in order, each with its own outcome", async () => {
  const world = setUp(
    {},
    {
      translate: translating((event) => {
        if (event === "2") throw new TypeError("no words");
        if (event === "4") throw HOSTILE;
        if (event === "5") return undefined as never;
        if (event === "6") return { text: undefined as never, metadata: "" };
        return event === "3" ? { dropped: "filtered" } : { text: `<${String(event)}>`, metadata: "" };
      }),
    },
  );
  const outcomes = await world.send("1", "2", "3", "4", "5", "6", "7");
  expect(bodies(world)).toEqual(["<1>,<7>"]);
  expect(outcomes).toEqual([
    DELIVERED,
    rejectedBecause("cannot be translated: no words"),
    { status: "dropped", reason: "filtered" },
    rejectedBecause("cannot be translated: (none)"),
    rejectedBecause(expect.stringMatching(/^cannot be translated: /)),
    rejectedBecause("cannot be translated: it has no text"),
    DELIVERED,
  ]);
});

test("an event that cannot be requested is found by halves; what all events share is at fault at once", async () => {
  const request: Protocol["request"] = (batch) => {
    if (batch.body.join("").includes("bad")) throw new RangeError("not this one");
    return { method: "POST", url: "http://vendor.test/", headers: {}, body: batch.body };
  };
  const world = setUp({ request });
  const outcomes = await world.send("1", "2", "bad", "4");
  expect(outcomes.map(({ status }) => status)).toEqual(["delivered", "delivered", "rejected", "delivered"]);
  expect(outcomes[2]).toEqual(rejectedBecause("cannot be encoded for the vendor: not this one"));

  const shared = setUp({
    request: () => {
      throw new WaybillError("WAYBILL_EVENT", "tags too long");
    },
  });
  expect(await shared.send("1", "2", "3")).toEqual(outcomesOf(3, { status: "rejected", reason: "tags too long" }));
  expect(shared.attempts).toHaveLength(1);
});

test("a table that throws for an answer rejects the event, not the lane's progress", async () => {
  const world = setUp({
    classify: (response, { count }) => {
      if (world.requests.at(-1)?.body.join("").includes("bad") === true) throw HOSTILE;
      expect(response).toEqual(OK);
      return outcomesOf(count, DELIVERED);
    },
  });
  const outcomes = await world.send("1", "bad", "3");
  expect(outcomes.map(({ status }) => status)).toEqual(["delivered", "rejected", "delivered"]);
  expect(outcomes[1]).toEqual(rejectedBecause("200 cannot be understood: (none)"));
});

test("a table with too many or too few outcomes is a defect, which the lane hears of", async () => {
  for (const count of [1, 3]) {
    const world = setUp({ classify: () => outcomesOf(count, DELIVERED) });
    await expect(world.send("1", "2")).rejects.toThrow(/broken invariant: each event has one outcome/);
  }
});

test("singly: an event whose order key cannot be read is rejected; indices and order of the others hold", async () => {
  const world = setUp({
    singly: singly({
      concurrency: 2,
      orderKey: (event) => {
        if (event === "2" || event === "5") throw HOSTILE;
        return "one user";
      },
    }),
  });
  const outcomes = await world.send("1", "2", "3", "4", "5", "6");
  expect(bodies(world)).toEqual(["1", "3", "4", "6"]);
  expect(outcomes.map(({ status }) => status)).toEqual([
    "delivered",
    "rejected",
    "delivered",
    "delivered",
    "rejected",
    "delivered",
  ]);
});

test("singly: a guard's rejections, a refusal and a failure each keep their own place over attempts", async () => {
  let failures = 1;
  const world = setUp(
    {
      singly: singly({ concurrency: 3 }),
      request: ({ body }) => {
        if (body.join("") === "[2]") throw new Error("no");
        return { method: "POST", url: "http://vendor.test/", headers: {}, body };
      },
      classify: (_response, { count, body: [body] }) => {
        if (body === "[4]") throw new Error("odd");
        if (body === "[5]" && failures-- > 0) return outcomesOf(count, { status: "retryable", reason: "busy" });
        return outcomesOf(count, DELIVERED);
      },
    },
    {
      translate: translating((event) =>
        event === "3" ? { rejected: "said so" } : { text: `[${String(event)}]`, metadata: "" },
      ),
    },
  );
  const outcomes = await world.send("1", "2", "3", "4", "5", "6");
  expect(outcomes.map((outcome) => ("reason" in outcome ? outcome.reason : outcome.status))).toEqual([
    "delivered",
    "cannot be encoded for the vendor: no",
    "said so",
    "200 cannot be understood: odd",
    "delivered",
    "delivered",
  ]);
});

test("singly: a defect is reported only when everything on its way has ended", async () => {
  let ended = 0;
  const world = setUp(
    {
      singly: singly({ concurrency: 3 }),
      classify: (_response, { count }) =>
        world.requests.length === 3 && ended === 0 ? [] : outcomesOf(count, DELIVERED),
    },
    {},
    async (request) => {
      if (request.body.join("") !== "1") await new Promise<void>((resolve) => world.clock.after(50, resolve));
      return OK;
    },
  );
  await expect(world.send("1", "2", "3").finally(() => (ended = world.clock.monotonic()))).rejects.toThrow("invariant");
  expect(ended).toBeGreaterThanOrEqual(50);
});

test("a rewrite that throws rejects the event at fault; one that throws after delivery changes nothing", async () => {
  const rewritten: Rewrite = (batch) => {
    if (Array.from({ length: batch.count }, (_, index) => batch.event(index)).includes("bad")) throw HOSTILE;
    return {
      batch,
      rejected: new Map(),
      delivered: () => {
        throw new Error("too late");
      },
    };
  };
  const world = setUp({}, { stage: rewrite(rewritten) });
  const outcomes = await world.send("1", "bad", "3");
  expect(outcomes.map(({ status }) => status)).toEqual(["delivered", "rejected", "delivered"]);
});

test("a batch that is too large to be rewritten in one step is halved first", async () => {
  const sizes: number[] = [];
  const noted: Rewrite = (batch) => {
    sizes.push(batch.bytes);
    return { batch, rejected: new Map(), delivered: () => undefined };
  };
  const big = "x".repeat(400_000);
  const world = setUp({ maxEventBytes: 1e9, limits: { maxEvents: 100, maxBytes: 1e9 } }, { stage: rewrite(noted) });
  expect(await world.send(big, big, big, big)).toEqual(outcomesOf(4, DELIVERED));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1024 * 1024);
});

test("a long batch is translated in steps, and its runs leave before the next is translated", async () => {
  const order: string[] = [];
  const world = setUp(
    { limits: { maxEvents: 100, maxBytes: 300_000 }, maxEventBytes: 300_000 },
    {
      translate: translating((event) => {
        order.push(`translate ${String(event)}`);
        return { text: "x".repeat(200_000), metadata: "" };
      }),
    },
    () => {
      order.push("send");
      return Promise.resolve(OK);
    },
  );
  let steps = 0;
  const { after } = world.clock;
  world.clock.after = (delayMs, run) => {
    if (delayMs === 0) steps += 1;
    return after.call(world.clock, delayMs, run);
  };
  await world.send("1", "2", "3", "4");
  expect(order).toEqual(["translate 1", "translate 2", "send", "translate 3", "send", "translate 4", "send", "send"]);
  expect(steps).toBeGreaterThanOrEqual(1);
});

test.each<[string, Partial<HttpRequest>, RegExp]>([
  ["a line's end in a value", { headers: { "x-api-key": "secret\n" } }, /header x-api-key/],
  ["a character beyond a byte", { headers: { authorization: "Bearer sécret€" } }, /header authorization/],
  ["no value", { headers: { authorization: undefined as never } }, /header authorization/],
  ["a name with a space", { headers: { "x y": "secret" } }, /name of a header/],
  ["an empty name", { headers: { "": "secret" } }, /name of a header/],
  ["how the message is framed", { headers: { "Transfer-Encoding": "chunked" } }, /header Transfer-Encoding/],
  ["a length of its own", { headers: { "content-length": "5" } }, /header content-length/],
  ["a URL that is not one", { url: "http://[secret" }, /URL/],
])("%s, from the configuration: halted, with the header's name and not its value", async (_what, fault, named) => {
  const world = setUp({
    request: ({ body }) => ({ method: "POST", url: "http://vendor.test/", headers: {}, body, ...fault }),
  });
  const outcomes = await world.send("1", "2");
  expect(world.requests).toEqual([]);
  expect(outcomes.map(({ status }) => status)).toEqual(["halted", "halted"]);
  const { reason } = outcomes[0] as { readonly reason: string };
  expect(reason).toMatch(named);
  expect(reason).not.toMatch(/secret|sécret/);
});

test("a transport that throws at once is one that gives no answer; what it refuses as no HTTP is halted", async () => {
  const throwing = setUp({}, {}, () => {
    throw new Error("at once");
  });
  expect(await throwing.send("1")).toEqual([{ status: "retryable", reason: "at once" }]);
  const refusing = setUp({}, {}, () =>
    Promise.reject(new WaybillError("WAYBILL_TRANSPORT", "not one of HTTP", { reason: "invalid_request" })),
  );
  expect(await refusing.send("1")).toEqual([{ status: "halted", reason: "not one of HTTP" }]);
});

test.each([0, 99, 100, 101, 199, 600, 999, 1_000, -1, 200.5, Number.NaN, "200"])(
  "%s is not a status of an answer: later, and no table sees it",
  async (status) => {
    const world = setUp({ classify: () => expect.unreachable() as never }, {}, () =>
      Promise.resolve({ ...OK, status: status as number }),
    );
    expect(await world.send("1")).toMatchObject([
      { status: "retryable", reason: expect.stringContaining("no answer of HTTP") },
    ]);
    expect(world.attempts.every((attempt) => attempt.status === undefined)).toBe(true);
  },
);

test.each([
  undefined,
  null,
  5,
  { status: 200 },
  { status: 200, headers: {} },
  { status: 200, headers: null, body: "" },
])("what a transport gives may be %j: later", async (answer) => {
  const world = setUp({ classify: () => expect.unreachable() as never }, {}, () => Promise.resolve(answer as never));
  expect(await world.send("1")).toMatchObject([{ status: "retryable" }]);
});

const FORGED = "\u001b[2Jforged\nline\u202e";

test("words of strangers cannot steer a terminal or forge a line, whichever way they become a reason", async () => {
  const reasons: string[] = [];
  const note = async (world: World): Promise<void> => {
    const outcomes = await world.send("1", "2");
    reasons.push(...outcomes.flatMap((outcome) => ("reason" in outcome ? [outcome.reason] : [])));
    reasons.push(...world.attempts.flatMap(({ reason }) => (reason === undefined ? [] : [reason])));
  };
  for (const status of ["retryable", "rejected", "halted"] as const)
    await note(setUp({ classify: (_response, { count }) => outcomesOf(count, { status, reason: FORGED }) }));
  await note(setUp({ classify: () => [DELIVERED, { status: "rejected", reason: FORGED }] }));
  await note(setUp({ classify: () => ({ split: true, reason: FORGED }) }));
  const throwing = (): never => {
    throw new Error(FORGED);
  };
  await note(setUp({ classify: throwing }));
  await note(setUp({ request: throwing }));
  await note(setUp({}, {}, throwing));
  await note(setUp({}, { translate: translating(throwing) }));
  await note(setUp({}, { translate: translating(() => ({ rejected: FORGED })) }));
  await note(setUp({}, { stage: rewrite(throwing) }));
  const rejected = new Map([[0, FORGED]]);
  await note(setUp({}, { stage: rewrite((batch) => ({ batch, rejected, delivered: () => undefined })) }));
  expect(reasons.length).toBeGreaterThan(20);
  expect(reasons.filter((reason) => /[\p{Cc}\u202e]/u.test(reason))).toEqual([]);
  expect(reasons.every((reason) => reason.includes("forged"))).toBe(true);
});

test("a reason is cut, however much a vendor says", async () => {
  const reason = "\n".repeat(1_000_000);
  const world = setUp({ classify: (_response, { count }) => outcomesOf(count, { status: "rejected", reason }) });
  const [outcome] = await world.send("1");
  expect((outcome as { readonly reason: string }).reason.length).toBeLessThan(10_000);
});

test("a transport that does not end when it is aborted holds its lane no longer than a moment", async () => {
  const world = setUp({}, { maxAttempts: 1 }, () => new Promise(() => undefined));
  const startedAt = world.clock.monotonic();
  expect(await world.send("1")).toEqual([{ status: "retryable", reason: "no answer within 1000 ms" }]);
  expect(world.clock.monotonic() - startedAt).toBeLessThanOrEqual(2_000);

  const closing = setUp({}, { maxAttempts: 1 }, () => new Promise(() => undefined));
  closing.clock.after(100, () => closing.now.abort());
  expect(await closing.send("1")).toEqual([{ status: "retryable", reason: "aborted" }]);
  expect(closing.clock.monotonic()).toBeLessThanOrEqual(1_100);
});

test("an answer that comes after the time but before the request ends counts", async () => {
  const world = setUp({}, {}, async (_request, signal) => {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    return OK;
  });
  expect(await world.send("1")).toEqual([DELIVERED]);
});
