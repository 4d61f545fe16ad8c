/**
 * LaunchDarkly behind a relay: each stored event goes to the path of its kind of SDK, with the
 * credential of that kind.
 */
import { type Batch, type DropReason, headerFromEvent, type Protocol, WaybillError } from "@waybill/core";
import { stableUuid } from "../canonical/stable-uuid.ts";
import { withoutTrailingSlashes } from "../values.ts";
import { NOT_COPIED, parseDiagnosticMetadata, parseLaunchdarklyMetadata, type SdkKind } from "./inbound.ts";
import { eventsPath, LAUNCHDARKLY_EVENTS_URL, type LaunchDarklyCredential, launchdarklyProtocol } from "./outbound.ts";

export interface RelayedSettings {
  readonly url?: string | undefined;
  readonly sdkKey: string;
  readonly mobileKey?: string | undefined;
  readonly environmentId?: string | undefined;
  readonly userAgent: string;
  /** Send schema 3 whatever the SDK sent, as the original does. */
  readonly strict: boolean;
}

const STRICT_SCHEMA = "3";

/** The credential for events of this kind of SDK; `undefined` when the destination has none. */
export function credentialOf(
  { sdkKey, mobileKey, environmentId }: Pick<RelayedSettings, "sdkKey" | "mobileKey" | "environmentId">,
  sdk: SdkKind,
): LaunchDarklyCredential | undefined {
  if (sdk === "server") return { kind: "sdkKey", value: sdkKey };
  const value = sdk === "mobile" ? mobileKey : environmentId;
  return value === undefined ? undefined : { kind: sdk === "mobile" ? "mobileKey" : "environmentId", value };
}

export function launchdarklyRelayed(settings: RelayedSettings): Protocol {
  const origin = withoutTrailingSlashes(settings.url ?? LAUNCHDARKLY_EVENTS_URL);
  const base = launchdarklyProtocol({
    url: origin,
    credential: { kind: "sdkKey", value: settings.sdkKey },
    userAgent: settings.userAgent,
  });
  return {
    ...base,
    request(batch: Batch) {
      const diagnostic = parseDiagnosticMetadata(batch.metadata);
      if (diagnostic !== undefined) {
        const credential = credentialOf(settings, diagnostic.sdk);
        if (credential === undefined)
          throw new WaybillError("WAYBILL_EVENT", `no credential for ${diagnostic.sdk} SDKs`);
        return {
          method: "POST",
          url: `${origin}${diagnosticPath(credential)}`,
          headers: {
            ...copiedHeaders(diagnostic.headers),
            "content-type": "application/json",
            ...(credential.kind === "environmentId" ? {} : { authorization: credential.value }),
          },
          body: batch.body,
        };
      }
      const parsed = parseLaunchdarklyMetadata(batch.metadata);
      const credential = parsed === undefined ? undefined : credentialOf(settings, parsed.sdk);
      if (parsed === undefined || credential === undefined)
        throw new WaybillError("WAYBILL_EVENT", `no credential for ${parsed?.sdk ?? "such"} events`);
      return {
        method: "POST",
        url: `${origin}${eventsPath(credential)}`,
        headers: {
          "content-type": "application/json",
          "user-agent": settings.userAgent,
          "x-launchdarkly-event-schema": settings.strict ? STRICT_SCHEMA : String(parsed.schema),
          "x-launchdarkly-payload-id": stableUuid(batch.key),
          ...(credential.kind === "environmentId" ? {} : { authorization: credential.value }),
          ...(parsed.tags === "" ? {} : { "x-launchdarkly-tags": headerFromEvent("x-launchdarkly-tags", parsed.tags) }),
        },
        body: ["[", ...batch.body, "]"],
      };
    },
  };
}

/** Servers take 8 KiB for all headers together, ours included. */
const COPIED_MAX_CHARACTERS = 6 * 1024;

/**
 * Those of the SDK's request that go along with its diagnostic: never its key, nor what belongs to
 * its connection.
 */
function copiedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const copied = Object.entries(headers)
    .filter(([name]) => name !== "authorization" && !NOT_COPIED.includes(name))
    .map(([name, value]) => [name, headerFromEvent(name, value)] as const);
  const characters = copied.reduce((total, [name, value]) => total + name.length + value.length, 0);
  if (characters > COPIED_MAX_CHARACTERS)
    throw new WaybillError("WAYBILL_EVENT", `the diagnostic's headers have ${characters} characters`);
  return Object.fromEntries(copied);
}

/** Where analytics events of a credential's kind go. */
export function launchdarklyUrl(url: string | undefined, credential: LaunchDarklyCredential): string {
  return `${withoutTrailingSlashes(url ?? LAUNCHDARKLY_EVENTS_URL)}${eventsPath(credential)}`;
}

function diagnosticPath({ kind, value }: LaunchDarklyCredential): string {
  if (kind === "environmentId") return `/events/diagnostic/${encodeURIComponent(value)}`;
  return kind === "mobileKey" ? "/mobile/events/diagnostic" : "/diagnostic";
}

/** Why events with this metadata cannot be sent; `undefined` when they can. */
export function unsendable(
  settings: Pick<RelayedSettings, "sdkKey" | "mobileKey" | "environmentId">,
  metadata: string,
): DropReason | undefined {
  const sdk = parseDiagnosticMetadata(metadata)?.sdk ?? parseLaunchdarklyMetadata(metadata)?.sdk;
  return sdk === undefined || credentialOf(settings, sdk) === undefined ? "unsupported" : undefined;
}
