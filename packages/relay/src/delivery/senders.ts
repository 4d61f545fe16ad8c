/**
 * How a configured destination sends: its adapter's protocol for events in its own wire format,
 * byte for byte; a translation through the canonical event for those in another. Filter, sample and
 * redaction come before either; they alone make it look into events that would otherwise pass as
 * bytes.
 */
import {
  type Batch,
  checkedTransport,
  createSender,
  type Exchange,
  fullJitter,
  giveUpTooOld,
  isolating,
  type Limiter,
  type Protocol,
  persist,
  type Rewrite,
  rewrite,
  type Sender,
  type Translate,
  type Transport,
  translating,
  withSafeReasons,
} from "@waybill/core";
import { toCanonical } from "@waybill/vendors/registry";
import type { DestinationConfig } from "../config/types.ts";
import { extensionOf } from "../launchdarkly/extension.ts";
import { type DeliverySpans, deliverySpans } from "../tracing/delivery-spans.ts";
import { LIBRARY } from "../version.ts";
import type { DestinationAdapter } from "./adapter.ts";
import { destinationAdapterOf, isInFormatOf } from "./adapters.ts";
import { createChoice } from "./choice.ts";
import { connectionOf } from "./connection.ts";
import type { ExtensionOptions, SenderSettings } from "./extension.ts";
import type { FileWriter } from "./file-writer.ts";
import { leaveOut } from "./left-out.ts";

/** Sends batches in any wire format, and holds what that needs until it is closed. */
export interface DestinationSender extends Sender {
  /** Past the chain, for requests that are not events. */
  readonly transport: Transport;
  /** Requests in flight end by themselves. */
  close(): void;
}

export interface DestinationSenderOptions extends ExtensionOptions {
  /** Of a destination that is a file; it outlives the sender, and is closed by who made it. */
  readonly writer: Pick<FileWriter, "transport">;
  /** Of all requests to the destination; it outlives the sender. */
  readonly limiter: Limiter;
  /** Nothing is sent: no connection of a vendor's SDK is made either. Default: false. */
  readonly isPreview?: boolean;
}

export function createDestinationSender(options: DestinationSenderOptions): DestinationSender {
  const { config } = options;
  const adapter = destinationAdapterOf(config.vendor);
  const choose = createChoice(config);
  const connection = connectionOf(config, options.runtime, options.settings);
  const chain = chains(adapter, options, connection.transport);
  const plain = chain();
  const own = chain(inOwnFormat(adapter, config, choose));
  const foreign = adapter.fromCanonical === undefined ? own : chain(translated(adapter, config, choose));
  const extension = options.isPreview === true ? undefined : extensionOf(options);
  const extended = new Map<Rewrite, Sender>();
  const routeOf = ({ metadata }: Batch): Sender => {
    if (!isInFormatOf(adapter, metadata)) return foreign;
    if (adapter.unsendable?.(metadata, config) !== undefined) return own;
    const made = extension?.rewriteOf(metadata);
    if (made === undefined) return choose === undefined ? plain : own;
    const known = extended.get(made) ?? chain(choose, made);
    extended.set(made, known);
    return known;
  };
  const routed: Sender = {
    send(batch, context) {
      let route: Sender;
      try {
        route = routeOf(batch);
      } catch {
        // Metadata that cannot be read: there each event finds the same, and is rejected.
        route = own;
      }
      return route.send(batch, context);
    },
  };
  return {
    ...withSafeReasons(leaveOut(config, routed)),
    transport: connection.transport,
    close() {
      extension?.close();
      connection.close();
    },
  };
}

export function protocolOf(config: DestinationConfig, { strict }: SenderSettings): Protocol {
  return destinationAdapterOf(config.vendor).outbound(config, { library: LIBRARY, strict });
}

const asItIs = (next: Exchange): Exchange => next;

/** Makes the chain of stages that a batch goes through. */
function chains(
  adapter: DestinationAdapter,
  { config, runtime, settings, writer, limiter }: DestinationSenderOptions,
  network: Transport,
): (translate?: Translate, made?: Rewrite) => Sender {
  const spans = spansOf(config, settings);
  const plain = protocolOf(config, settings);
  const protocol = spans?.protocol(plain) ?? plain;
  const transport = adapter.transport?.(config, writer) ?? checkedTransport(network);
  const { maxAgeMs } = config;
  const aged = maxAgeMs === undefined ? asItIs : giveUpTooOld({ maxAgeMs, clock: runtime.clock });
  return (translate, made) =>
    createSender({
      protocol,
      runtime: { ...runtime, transport },
      timeoutMs: config.timeoutMs,
      backoff: fullJitter(config.backoffBaseMs, config.backoffMaxMs),
      maxAttempts: Number.POSITIVE_INFINITY,
      // What became too old while it waited for the limit is not sent either.
      limit: (next) => limiter.stage(aged(spans?.stage(next) ?? next)),
      retry: persist(isolating({ byEvent: adapter.knowsDuplicatesBy !== "batch" })),
      ...(translate === undefined ? {} : { translate: translating(translate) }),
      stage: (next) => aged(made === undefined ? next : rewrite(made)(next)),
    });
}

function spansOf(
  { name: destination, vendor }: DestinationConfig,
  settings: SenderSettings,
): DeliverySpans | undefined {
  if (settings.tracing === undefined) return undefined;
  const { tracing, environment } = settings.tracing;
  return deliverySpans(tracing, { environment, destination, vendor });
}

/**
 * Events in the destination's own format: those that it cannot send are left out; without a choice
 * the others pass as they are, past this.
 */
function inOwnFormat(adapter: DestinationAdapter, config: DestinationConfig, choose: Translate | undefined): Translate {
  return (event, metadata, key) => {
    const unsendable = isInFormatOf(adapter, metadata) ? adapter.unsendable?.(metadata, config) : undefined;
    if (unsendable !== undefined) return unsendable;
    return choose === undefined ? { dropped: "unsupported" } : choose(event, metadata, key);
  };
}

/** Events in another vendor's format: chosen as they are, then translated. */
function translated(
  adapter: DestinationAdapter,
  config: DestinationConfig,
  choose: Translate | undefined,
): Translate | undefined {
  const translate = adapter.fromCanonical?.(config.events, toCanonical, config);
  if (translate === undefined || choose === undefined) return translate;
  return (event, metadata, key) => {
    const chosen = choose(event, metadata, key);
    return "text" in chosen ? translate(chosen.text, chosen.metadata, key) : chosen;
  };
}
