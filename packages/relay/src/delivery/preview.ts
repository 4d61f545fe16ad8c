/**
 * What a destination's vendor gets of one event: the request is made as for delivery, by the same
 * chain, and goes nowhere. In place of every secret is a word, so that none can be in it.
 */
import { type DiskRuntime, type HttpRequest, Limiter, type Outcome, type Transport } from "@waybill/core";
import { LogBatch, type LogRecord } from "@waybill/log";
import { withoutSecrets } from "../config/shown-settings.ts";
import type { DestinationConfig } from "../config/types.ts";
import type { SenderSettings } from "./extension.ts";
import { takesFrom } from "./left-out.ts";
import { createDestinationSender } from "./senders.ts";

export interface Preview {
  /** The body of the request; `null`: there is none. */
  readonly sent: string | null;
  readonly contentType: string | null;
  /** Why nothing is sent. */
  readonly why: string | null;
}

export interface PreviewOptions {
  readonly config: DestinationConfig;
  readonly runtime: DiskRuntime;
  readonly settings: SenderSettings;
}

/** `index`: of the event in its record. Never rejects. */
export async function previewOf(
  record: LogRecord,
  index: number,
  { config, runtime, settings }: PreviewOptions,
): Promise<Preview> {
  if (!takesFrom(config, record.source)) return nothing("source");
  const ended = new AbortController();
  let request: HttpRequest | undefined;
  const transport: Transport = (one) => {
    request ??= one;
    ended.abort();
    return Promise.resolve({ status: 200, headers: {}, body: "{}" });
  };
  const { clock } = runtime;
  try {
    const sender = createDestinationSender({
      config: withoutSecrets(config),
      runtime: { ...runtime, transport },
      settings: { strict: settings.strict },
      writer: { transport: () => transport },
      limiter: new Limiter(clock, { maxInFlight: 1 }),
      isPreview: true,
    });
    const { signal } = ended;
    const watch = { attempted: () => undefined, waiting: () => undefined, resumed: () => undefined };
    const batch = new LogBatch("preview", [{ record, start: index, end: index + 1 }]);
    const [outcome] = await sender.send(batch, { soon: signal, now: signal, watch, parked: new Set() });
    sender.close();
    return request === undefined ? nothing(whyOf(outcome)) : shown(request);
  } catch (error) {
    return request === undefined ? nothing(error instanceof Error ? error.message : String(error)) : shown(request);
  }
}

function nothing(why: string): Preview {
  return { sent: null, contentType: null, why };
}

function whyOf(outcome: Outcome | undefined): string {
  return outcome !== undefined && "reason" in outcome ? outcome.reason : "nothing is sent for it";
}

function shown({ headers, body }: HttpRequest): Preview {
  const bytes = Buffer.concat(body.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk)));
  return { sent: bytes.toString(), contentType: headers["content-type"] ?? null, why: null };
}
