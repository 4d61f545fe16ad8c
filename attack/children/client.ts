/**
 * One scenario with the built client, in a process of its own:
 * `client.js SCENARIO ARGUMENTS(JSON)`. The last line says what became of it.
 */
import { type Client, type ClientSettings, createClient, type EventHandle, segment, type Transport } from "waybill";
import { spool } from "waybill/spool";

interface Arguments {
  readonly url: string;
  readonly directory: string;
  readonly events: number;
}

const args = JSON.parse(process.argv[3] ?? "{}") as Arguments;
const said: string[] = [];

const OPTIONS: ClientSettings = {
  flushIntervalMs: 20,
  backoffBaseMs: 20,
  backoffMaxMs: 100,
  timeoutMs: 1_000,
  onDrop: ({ reason }) => said.push(`drop ${reason}`),
  onError: ({ message }) => said.push(`error ${message}`),
};

function clientTo(url: string, more: ClientSettings = {}): Client {
  return createClient({ ...OPTIONS, destinations: [segment({ url, writeKey: "k" })], ...more });
}

function outcomeOf({ delivered }: EventHandle, ms: number): Promise<string> {
  const late = new Promise<string>((resolve) => setTimeout(() => resolve("never settled"), ms));
  return Promise.race([
    delivered.then(({ status, ...more }) => ("reason" in more ? `${status}: ${more.reason}` : status)),
    late,
  ]);
}

const event = (userId: string): { userId: string; event: string } => ({ userId, event: "Attacked" });

const SCENARIOS: Readonly<Record<string, () => Promise<object>>> = {
  /** The vendor takes the first request and is silent from then on. */
  async late() {
    const client = clientTo(args.url);
    const first = client.track(event("a"));
    await client.flush({ deadlineMs: 2_000 });
    const second = client.track(event("b"));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const outcome = outcomeOf(first, 3_000);
    const closing = client.close({ deadlineMs: 500 });
    return { first: await outcome, second: await outcomeOf(second, 3_000), summary: await closing };
  },

  /** The vendor refuses every event by name. */
  async rejected() {
    const client = clientTo(args.url);
    const handles = Array.from({ length: args.events }, (_, index) => client.track(event(`u${index}`)));
    await client.flush({ deadlineMs: 10_000 });
    const outcomes = await Promise.all(handles.map((handle) => outcomeOf(handle, 3_000)));
    const summary = await client.close({ deadlineMs: 1_000 });
    return { first: outcomes[0], wrong: outcomes.filter((outcome) => !outcome.startsWith("rejected")).length, summary };
  },

  async deaf() {
    const transport: Transport = () => new Promise(() => undefined);
    const client = clientTo(args.url, { transport });
    client.track(event("u"));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const startedAtMs = performance.now();
    const hold = setInterval(() => undefined, 1_000);
    const summary = await client.close({ deadlineMs: 300 });
    clearInterval(hold);
    return { ms: performance.now() - startedAtMs, summary };
  },

  /** Keeps the spool until it is killed. */
  async hold() {
    const client = clientTo(args.url, { spool: spool({ directory: args.directory }) });
    for (let index = 0; index < args.events; index++) client.track(event(`u${index}`));
    await new Promise((resolve) => setTimeout(resolve, 500));
    process.stdout.write("holding\n");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    return {};
  },

  async spooled() {
    const client = clientTo(args.url, { spool: spool({ directory: args.directory }) });
    for (let index = 0; index < args.events; index++) client.track(event(`later-${index}`));
    await client.flush({ deadlineMs: 2_000 });
    const accounts = client.accounts();
    return { summary: await client.close({ deadlineMs: 1_000 }), accounts };
  },

  async odd() {
    const client = clientTo(args.url, { overflow: "drop-newest" });
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const throwing = {
      get userId(): string {
        throw new Error("getter");
      },
    };
    const odd: unknown[] = [
      undefined,
      null,
      1,
      "x",
      [],
      circular,
      throwing,
      { userId: 1n },
      { userId: "u", event: Symbol("x") },
      { userId: "u", event: "e", properties: circular },
      {
        userId: "u",
        event: "e",
        properties: {
          toJSON() {
            throw new Error("toJSON");
          },
        },
      },
      new Proxy(
        {},
        {
          get() {
            throw new Error("proxy");
          },
          ownKeys() {
            throw new Error("proxy");
          },
        },
      ),
      { userId: "u", event: "e", properties: JSON.parse('{"__proto__":{"x":1},"constructor":1}') },
      { userId: "\ud800", event: "\u0000" },
      { userId: "u", event: "x".repeat(1_000_000) },
      { userId: "u", event: "e", timestamp: new Date(Number.NaN) },
      { userId: { toString: null }, event: { toString: null } },
      { userId: "u", event: "e", context: [], integrations: 1 },
    ];
    let threw = "";
    for (const one of odd)
      for (const call of ["track", "identify", "page", "screen", "group", "alias"] as const)
        try {
          client[call](one as never);
        } catch (error) {
          threw ||= `${call}(): ${String(error)}`;
        }
    const last = client.track(event("after"));
    await client.flush({ deadlineMs: 3_000 });
    return { threw, last: await outcomeOf(last, 2_000), summary: await client.close({ deadlineMs: 1_000 }) };
  },

  /** The server is hostile in whatever way its parent says. */
  async hostile() {
    const client = createClient({ ...OPTIONS, relay: { url: args.url, writeKey: "k" } });
    for (let index = 0; index < args.events; index++) client.track(event(`u${index}`));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const startedAtMs = performance.now();
    const summary = await client.close({ deadlineMs: 500 });
    return { ms: performance.now() - startedAtMs, summary };
  },
};

const scenario = SCENARIOS[process.argv[2] ?? ""];
if (scenario === undefined) throw new Error(`no scenario ${process.argv[2]}`);
const result = await scenario();
process.stdout.write(`${JSON.stringify({ ...result, said: [...new Set(said)], times: said.length })}\n`, () =>
  process.exit(0),
);
