/** Configurations that cases share. Limits are at their defaults unless the scene is about them. */
import type { Rig, Scene, Stage } from "./stage.ts";
import { KEY } from "./stage.ts";
import type { Vendor } from "./vendor.ts";

export const KEYS = {
  letter: "attack-letter-key",
  getfluxly: "gflux_attack",
  trophy: "attack-trophy-key",
  valued: "attack-valued-key",
  launchdarkly: "attack-sdk-key",
  mobile: "attack-mobile-key",
  environmentId: "attack-environment-id",
  posthog: "phc_attack",
  limited: "attack-limited-key",
} as const;

/** Waits between attempts, short enough for a case. */
export const QUICK = { timeout: "2s", backoff: { base: "50ms", max: "500ms" } } as const;

export interface Parts {
  readonly sources?: Readonly<Record<string, object>>;
  readonly destinations: Readonly<Record<string, object>>;
  /** Merged over the rest, at the top. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** A configuration with one environment, `attack`. */
export function configOf(
  directory: string,
  { sources = {}, destinations, extra = {} }: Parts,
): Record<string, unknown> {
  return {
    listen: "127.0.0.1:0",
    dataDirectory: `${directory}/data`,
    admin: { listen: "127.0.0.1:0" },
    network: { allowPrivateAddresses: true },
    environments: {
      attack: { sources: { web: { protocol: "segment", writeKeys: [KEY] }, ...sources }, destinations },
    },
    ...extra,
  };
}

/** A source of every vendor's protocol. */
export const EVERY_SOURCE: Readonly<Record<string, object>> = {
  letter: { protocol: "letter", writeKeys: [KEYS.letter] },
  getfluxly: { protocol: "getfluxly", writeKeys: [KEYS.getfluxly] },
  trophy: { protocol: "trophy", writeKeys: [KEYS.trophy] },
  valued: { protocol: "valued", writeKeys: [KEYS.valued] },
  flags: {
    protocol: "launchdarkly",
    writeKeys: [KEYS.launchdarkly],
    mobileKeys: [KEYS.mobile],
    environmentId: KEYS.environmentId,
  },
  hog: { protocol: "posthog", writeKeys: [KEYS.posthog] },
};

export function segmentTo(vendor: Vendor, more: object = {}): object {
  return { vendor: "segment", url: vendor.url, writeKey: "vendor-key", ...QUICK, ...more };
}

/** A scene whose configuration is made from a good and a bad vendor. */
export function sceneOf(
  name: string,
  parts: (vendors: { good: Vendor; bad: Vendor; directory: string }) => Parts,
): Scene {
  return {
    name,
    async open(stage: Stage): Promise<Rig> {
      const good = await stage.vendor();
      const bad = await stage.vendor();
      const directory = stage.directory();
      const relay = await stage.launch({ directory, config: configOf(directory, parts({ good, bad, directory })) });
      return { relay, good, bad };
    },
  };
}

/** Every protocol at the intake, one healthy destination, everything at its default. */
export const PLAIN: Scene = sceneOf("plain", ({ good }) => ({
  sources: EVERY_SOURCE,
  destinations: { good: segmentTo(good) },
}));

/** A destination that is as hostile as the case says, beside a healthy one. */
export const HOSTILE_VENDOR: Scene = sceneOf("hostile-vendor", ({ good, bad }) => ({
  destinations: { good: segmentTo(good), bad: segmentTo(bad) },
}));

/**
 * A destination of every kind, to one vendor that takes everything; with filter, sample and
 * redaction.
 */
export const EVERYWHERE: Scene = sceneOf("everywhere", ({ good, bad, directory }) => ({
  sources: EVERY_SOURCE,
  destinations: { good: segmentTo(good), ...everyDestination(bad, directory) },
}));

/** Names of the destinations of {@link everyDestination}. */
export function everyDestination(vendor: Vendor, directory: string): Record<string, object> {
  const { url } = vendor;
  const writeKey = "vendor-key";
  return {
    letter: { vendor: "letter", url, writeKey, ...QUICK },
    getfluxly: { vendor: "getfluxly", url, writeKey: "gflux_vendor", ...QUICK },
    trophy: { vendor: "trophy", url, writeKey, ...QUICK },
    valued: { vendor: "valued", url: `${url}/events`, writeKey, ...QUICK },
    flags: {
      vendor: "launchdarkly",
      url,
      writeKey,
      mobileKey: "vendor-mobile",
      environmentId: "vendor-environment",
      ...QUICK,
    },
    posthog: { vendor: "posthog", url, writeKey, ...QUICK },
    http: { vendor: "http", url: `${url}/hook`, format: "json", ...QUICK },
    lines: { vendor: "http", url: `${url}/lines`, signingSecret: "attack-secret", ...QUICK },
    file: { vendor: "file", path: `${directory}/events/out.ndjson` },
    filtered: segmentTo(vendor, { filter: { include: ["*Order*Completed*"], exclude: ["*a*a*a*a*b"] } }),
    sampled: segmentTo(vendor, { sampleRate: 0.5 }),
    redacted: segmentTo(vendor, { redact: ["context.ip", "properties.email", "user.email", "a.b.c"] }),
  };
}
