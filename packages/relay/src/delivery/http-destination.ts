import { createHmac } from "node:crypto";
import { type Chunk, DELIVERED, outcomesOf, type Protocol, retryAfterMs } from "@waybill/core";
import type { OutboundAdapter } from "@waybill/vendors/registry";
import type { HttpDestination } from "../config/types.ts";
import { VERSION } from "../version.ts";

const LIMITS = { maxEvents: 1_000, maxBytes: 1024 * 1024 };
const SECOND_MS = 1_000;

export const http: OutboundAdapter<HttpDestination> = {
  name: "http",
  outbound: httpProtocol,
  // The key of the batch is in a header; the events are anybody's.
  knowsDuplicatesBy: "batch",
};

/**
 * Any URL: events as they were taken in, a line each or as a JSON array, under an idempotency key
 * that stays over attempts. Signed with `waybill-signature: t=<epoch seconds>,v1=<hex>` where v1 is
 * HMAC-SHA256 of `<t>.<body>`; the time is in the signature, so that an old request cannot be sent
 * again.
 */
function httpProtocol({ url, headers, signingSecret, format }: HttpDestination): Protocol {
  return {
    limits: LIMITS,
    maxEventBytes: LIMITS.maxBytes,
    request(batch, nowMs) {
      const body: readonly Chunk[] =
        format === "json" ? ["[", ...batch.body, "]"] : linesOf(batch.count, (index) => batch.event(index));
      const t = Math.floor(nowMs / SECOND_MS);
      return {
        method: "POST",
        url,
        headers: {
          "content-type": format === "json" ? "application/json" : "application/x-ndjson",
          "user-agent": `WaybillRelay/${VERSION}`,
          "idempotency-key": batch.key,
          ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
          ...(signingSecret === undefined
            ? {}
            : { "waybill-signature": `t=${t},v1=${signatureOf(signingSecret, t, body)}` }),
        },
        body,
      };
    },
    classify(response, { count }, nowMs) {
      const { status } = response;
      if (status >= 200 && status < 300) return outcomesOf(count, DELIVERED);
      const reason = `${status} ${response.body.slice(0, 200)}`.trim();
      if (status === 408 || status === 425 || status === 429 || status >= 500) {
        const waitMs = retryAfterMs(response, nowMs);
        return outcomesOf(count, {
          status: "retryable",
          reason,
          ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
        });
      }
      if (status < 400 || [401, 403, 404, 405, 410].includes(status))
        return outcomesOf(count, { status: "halted", reason });
      return { split: true, reason };
    },
  };
}

/**
 * Events with a line's end after each. Line ends within an event are white space of its JSON:
 * strings cannot hold them.
 */
export function linesOf(count: number, event: (index: number) => Chunk): readonly Chunk[] {
  const chunks: Chunk[] = [];
  for (let index = 0; index < count; index++) chunks.push(oneLine(event(index)), "\n");
  return chunks;
}

function oneLine(event: Chunk): Chunk {
  if (typeof event === "string") return event.replaceAll(/[\r\n]+/g, " ");
  if (!event.includes(0x0a) && !event.includes(0x0d)) return event;
  return event.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}

function signatureOf(secret: string, t: number, body: readonly Chunk[]): string {
  const hmac = createHmac("sha256", secret).update(`${t}.`);
  for (const chunk of body) hmac.update(chunk);
  return hmac.digest("hex");
}
