/**
 * A program that reports events at a steady rate through one client. Arguments: client, vendor's
 * URL, events per second, seconds, file for its count, folder for a spool ("" for none), `resume`
 * to send only what an earlier process left.
 *
 * Every 10 ms it captures its share and appends `<epoch ms> <events captured so far>` to the file,
 * so that the count outlives it. It closes the client when it is done or at SIGTERM, sends { sent,
 * refused, reported, closed }, and waits to be ended.
 */
import { appendFileSync } from "node:fs";
import { type Client, createClient, type Destination, segment } from "waybill";
import { GetFluxlyClient, GetFluxlyError, getfluxly } from "waybill/getfluxly";
import { HttpEventPublisher } from "waybill/launchdarkly";
import { LetterClient, letter } from "waybill/letter";
import { spool } from "waybill/spool";
import { TrophyClient, trophy } from "waybill/trophy";
import { ValuedClient, valued } from "waybill/valued";
import type { FaultClient } from "../faults/clients.ts";

const [name, url, rate, seconds, file, spoolFolder, mode] = process.argv.slice(2) as [
  FaultClient,
  string,
  string,
  string,
  string,
  string,
  string,
];
const TICK_MS = 10;
const CLOSE_MS = 30_000;
const NOTE = "x".repeat(60);

interface Reporter {
  /** Throws when the client refuses the event. */
  capture(index: number): void;
  close(): Promise<unknown>;
}

/** Events whose loss was reported to the program. */
let reported = 0;
const reporter = await createReporter(name);
const total = mode === "resume" ? 0 : Number(rate) * Number(seconds);
const startedAt = performance.now();
let captured = 0;
let refused = 0;
let ending = false;

const timer = setInterval(() => {
  const due = Math.min(total, Math.floor(((performance.now() - startedAt) / 1_000) * Number(rate)));
  while (captured + refused < due) {
    try {
      reporter.capture(captured + refused);
      captured += 1;
    } catch {
      refused += 1;
    }
  }
  appendFileSync(file, `${Date.now()} ${captured}\n`);
  if (due === total) void end();
}, TICK_MS);
process.once("SIGTERM", () => void end());

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  clearInterval(timer);
  await reporter.close();
  process.send?.({ sent: captured, refused, reported });
  // Ended by who measures, once it has looked at the memory.
  setInterval(() => undefined, 60_000);
}

/** Peers are loaded only where they take part: their code is memory too. */
async function createReporter(client: FaultClient): Promise<Reporter> {
  switch (client) {
    case "createClient":
      return one(segment({ writeKey: "k", url }));
    case "createClient, letter":
      return one(letter({ apiKey: "k", url }));
    case "createClient, getfluxly":
      return one(getfluxly({ token: "gflux_secret_k", url }));
    case "createClient, trophy":
      return one(trophy({ apiKey: "k", url, metrics: { Tracked: { metric: "tracked", attributes: ["index"] } } }));
    case "createClient, valued":
      return one(valued({ token: "k", url }));
    case "LetterClient": {
      const own = new LetterClient({ apiKey: "k", baseUrl: url, onError: ({ events = 0 }) => (reported += events) });
      return {
        capture: (index) => own.track({ userId: userOf(index), event: "Tracked", properties: { index, note: NOTE } }),
        close: () => own.close(),
      };
    }
    case "GetFluxlyClient":
      return fluxly();
    case "TrophyClient": {
      const own = new TrophyClient({ apiKey: "k", baseUrl: url });
      const open = new Set<Promise<unknown>>();
      return {
        capture(index) {
          const call = own.metrics
            .event({ key: "tracked", user: { id: `u-${index}` }, value: 1, attributes: { index: String(index) } })
            .catch(() => (reported += 1))
            .finally(() => open.delete(call));
          open.add(call);
        },
        close: () => Promise.all(open),
      };
    }
    case "ValuedClient": {
      const own = new ValuedClient("k", url, { onError: () => (reported += 1) });
      return {
        capture: (index) => own.action("tracked", { "user.id": userOf(index), attributes: { index } }),
        close: () => own.close(),
      };
    }
    case "HttpEventPublisher": {
      const options = {
        uri: url,
        flushIntervalMs: 200,
        capacity: 10_000,
        flushOnClose: true,
        onWarning: () => undefined,
      };
      const own = new HttpEventPublisher({ kind: "sdkKey", value: "k" }, options);
      return {
        capture: (index) => own.publish({ schemaVersion: 4 }, { kind: "custom", key: "tracked", data: { index } }),
        close: () => own.close(),
      };
    }
    case "@segment/analytics-node": {
      const { Analytics } = await import("@segment/analytics-node");
      const own = new Analytics({ writeKey: "k", host: url });
      own.on("error", () => undefined);
      return {
        capture: (index) => own.track({ userId: userOf(index), event: "Tracked", properties: { index, note: NOTE } }),
        close: () => own.closeAndFlush({ timeout: CLOSE_MS }),
      };
    }
    case "posthog-node": {
      const { PostHog } = await import("posthog-node");
      const own = new PostHog("k", { host: url });
      own.on("error", () => undefined);
      return {
        capture: (index) =>
          own.capture({ distinctId: userOf(index), event: "Tracked", properties: { index, note: NOTE } }),
        close: () => own.shutdown(CLOSE_MS),
      };
    }
  }
}

/** One destination of `createClient`, on a spool when there is a folder for it. */
function one(destination: Destination): Reporter {
  const client: Client = createClient({
    destinations: [destination],
    onDrop: () => (reported += 1),
    ...(spoolFolder === "" ? {} : { spool: spool({ directory: spoolFolder }) }),
  });
  return {
    capture: (index) => client.track({ userId: userOf(index), event: "Tracked", properties: { index, note: NOTE } }),
    close: () => client.close({ deadlineMs: CLOSE_MS }),
  };
}

/** Heeds what the client says: a retryable error of close is an invitation to flush again. */
function fluxly(): Reporter {
  const own = new GetFluxlyClient({ token: "gflux_secret_k", apiHost: url });
  return {
    capture: (index) => own.track({ event: "tracked", userId: userOf(index), properties: { index, note: NOTE } }),
    async close() {
      const until = performance.now() + CLOSE_MS;
      for (let send = () => own.close(); performance.now() < until; send = () => own.flush()) {
        try {
          return await send();
        } catch (error) {
          if (!(error instanceof GetFluxlyError && error.retryable)) throw error;
        }
      }
      return undefined;
    },
  };
}

function userOf(index: number): string {
  return `u-${index % 500}`;
}
