/**
 * How a configured destination sends: its vendor's protocol for events that are in its own words, byte for byte; a translation through the canonical event for those that
 * are not. Filter, sample and redaction come before either; they alone make it look into events that would otherwise pass as bytes.
 */
import {
  type Batch,
  checkedTransport,
  createSender,
  fullJitter,
  type Protocol,
  type Rewrite,
  type Runtime,
  rateLimited,
  rewrite,
  type Sender,
  type Translate,
  translating,
  withSafeReasons,
} from "@waybill/core";
import {
  type EventMap,
  formOf,
  getfluxlyFromCanonical,
  getfluxlyProtocol,
  launchdarklyFromCanonical,
  launchdarklyRelayed,
  letterFromCanonical,
  letterProtocol,
  posthogFromCanonical,
  posthogProtocol,
  segmentProtocol,
  stableUuid,
  textOf,
  toCanonical,
  trophyFromCanonical,
  trophyProtocol,
  unsendable,
  valuedFromCanonical,
  valuedProtocol,
} from "@waybill/vendors";
import type { DestinationConfig } from "../config/types.ts";
import { createFlagSource, type FlagSettings } from "../launchdarkly/flags.ts";
import { createSummaries, isSummarised } from "../launchdarkly/summaries.ts";
import { LIBRARY, VERSION } from "../version.ts";
import { createChoice } from "./choice.ts";
import { type FileWriter, fileProtocol } from "./file-destination.ts";
import { httpProtocol } from "./http-destination.ts";

export interface SenderSettings extends FlagSettings {
  /** Say what the vendors' own relays say where they differ. */
  readonly strict: boolean;
}

/** Sends batches of any form, and holds what that needs until it is closed. */
export interface DestinationSender extends Sender {
  close(): void;
}

export interface DestinationSenderOptions {
  readonly config: DestinationConfig;
  readonly runtime: Runtime;
  readonly settings: SenderSettings;
  /** Of a destination that is a file; it outlives the sender, and is closed by who made it. */
  readonly writer: FileWriter;
}

export function createDestinationSender({
  config,
  runtime,
  settings,
  writer,
}: DestinationSenderOptions): DestinationSender {
  const protocol = protocolOf(config, settings);
  const choose = createChoice(config);
  const transport = config.vendor === "file" ? writer.transport(config) : checkedTransport(runtime.transport);
  const chain = (translate?: Translate, said?: Rewrite): Sender =>
    createSender({
      protocol,
      runtime: { ...runtime, transport },
      timeoutMs: config.timeoutMs,
      backoff: fullJitter(config.backoffBaseMs, config.backoffMaxMs),
      maxAttempts: Number.POSITIVE_INFINITY,
      ...(config.maxRequestsPerSecond === undefined ? {} : { limit: rateLimited(config.maxRequestsPerSecond) }),
      ...(translate === undefined ? {} : { translate: translating(translate) }),
      ...(said === undefined ? {} : { stage: rewrite(said) }),
    });
  const flags = config.vendor === "launchdarkly" ? createFlagSource(config, settings) : undefined;
  const summaries = flags === undefined ? undefined : createSummaries(config, flags, runtime);
  const summarised = summaries === undefined ? undefined : chain(choose, summaries.rewrite);
  const own = chain(ownWords(config, choose));
  const plain = chain();
  const say = translationOf(config);
  const foreign =
    say === undefined
      ? own
      : chain((event, metadata, key) => {
          const chosen = choose?.(event, metadata, key);
          if (chosen === undefined) return say(event, metadata, key);
          return "text" in chosen ? say(chosen.text, chosen.metadata, key) : chosen;
        });
  const routeOf = (batch: Batch): Sender => {
    const isOwn = config.vendor === "http" || config.vendor === "file" || formOf(batch.metadata) === config.vendor;
    if (!isOwn) return foreign;
    if (summarised !== undefined && isSummarised(batch.metadata) && isSendable(config, batch)) return summarised;
    return choose === undefined && isSendable(config, batch) ? plain : own;
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
  const close = (): void => {
    flags?.close();
    summaries?.close();
  };
  return { ...withSafeReasons(routed), close };
}

/** Segment's limit of a body: with more beside the events none of them fits a request, and halves would carry it again and again. */
const SEGMENT_SHARED_MAX_CHARACTERS = 500_000;

function isSendable(config: DestinationConfig, { metadata }: Batch): boolean {
  if (config.vendor === "segment" && metadata.length > SEGMENT_SHARED_MAX_CHARACTERS) return false;
  return config.vendor !== "launchdarkly" || unsendable(credentialsOf(config), metadata) === undefined;
}

/** Events in the destination's own words: those it has no credential for are left out; without a choice the others pass as they are, past this. */
function ownWords(config: DestinationConfig, choose: Translate | undefined): Translate {
  return (event, metadata, key) => {
    const unsent = config.vendor === "launchdarkly" ? unsendable(credentialsOf(config), metadata) : undefined;
    if (unsent !== undefined) return { dropped: unsent };
    if (config.vendor === "segment" && metadata.length > SEGMENT_SHARED_MAX_CHARACTERS)
      return { rejected: `what its request carries for all has ${metadata.length} characters` };
    return choose === undefined ? { dropped: "unsupported" } : choose(event, metadata, key);
  };
}

function credentialsOf({ writeKey, mobileKey, environmentId }: DestinationConfig): Parameters<typeof unsendable>[0] {
  return { sdkKey: writeKey, mobileKey, environmentId };
}

export function protocolOf(config: DestinationConfig, { strict }: SenderSettings): Protocol {
  const { url, writeKey } = config;
  switch (config.vendor) {
    case "segment":
      return segmentProtocol({ ...(url === undefined ? {} : { url }), writeKey, library: LIBRARY });
    case "letter":
      return letterProtocol({ url, apiKey: writeKey, version: VERSION });
    case "getfluxly":
      return getfluxlyProtocol({ url, token: writeKey, version: VERSION });
    case "trophy":
      return trophyProtocol({ url, apiKey: writeKey, tenantId: config.tenantId, version: VERSION });
    case "valued":
      return valuedProtocol({ endpoint: url, token: writeKey, platform: "Waybill", version: VERSION });
    case "launchdarkly":
      return launchdarklyRelayed({ url, ...credentialsOf(config), userAgent: `WaybillRelay/${VERSION}`, strict });
    case "posthog":
      return posthogProtocol({ url, apiKey: writeKey, version: VERSION });
    case "http":
      return httpProtocol(config);
    case "file":
      return fileProtocol();
  }
}

/** From any other vendor's words; `undefined` where any words are taken. */
function translationOf(config: DestinationConfig): Translate | undefined {
  const events = config.events as EventMap<never>;
  switch (config.vendor) {
    case "segment":
      return segmentFromAny;
    case "letter":
      return letterFromCanonical(events, toCanonical);
    case "getfluxly":
      return getfluxlyFromCanonical(events, toCanonical);
    case "trophy":
      return trophyFromCanonical(undefined, events, toCanonical);
    case "valued":
      return valuedFromCanonical(events, toCanonical);
    case "launchdarkly":
      return launchdarklyFromCanonical(events, toCanonical);
    case "posthog":
      return posthogFromCanonical(events, toCanonical);
    default:
      return undefined;
  }
}

const decoder = new TextDecoder();

const segmentFromAny: Translate = (event, metadata, key) => {
  const canonical = toCanonical(typeof event === "string" ? event : decoder.decode(event), metadata);
  if (canonical === undefined) return { dropped: "unsupported" };
  const messageId = textOf(canonical["messageId"]) ?? stableUuid(key);
  return { text: JSON.stringify({ ...canonical, messageId }), metadata: "" };
};
