/** LaunchDarkly's SDKs of Node, from the oldest on, and what they share with those of pages. */
import { emulators } from "@waybill/testing";
import { expect } from "vitest";
import { type Relay, SOON } from "../relay.ts";
import type { Scenario } from "../scenario.ts";
import { load } from "../setup.ts";
import { EVENT_NAMES, HALF, type Stage } from "../stage.ts";

const FLAG = {
  key: "flag",
  version: 7,
  on: true,
  fallthrough: { variation: 1 },
  offVariation: 0,
  variations: [false, true],
  salt: "s",
  rules: [],
  targets: [],
  prerequisites: [],
};
const LOGGER = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined };
/** So that only `flush` sends: in seconds, and in milliseconds. */
export const NEVER_S = 3_600;
export const NEVER_MS: number = NEVER_S * 1_000;

export interface World {
  readonly flags: emulators.LaunchDarklyEmulator;
  /** Where flags are. */
  readonly flagsUrl: string;
  /** Where events go. */
  readonly relay: Relay;
}

export async function setUp(stage: Stage): Promise<World> {
  const flags = new emulators.LaunchDarklyEmulator({ flags: { flag: FLAG } });
  stage.keeps(() => flags.events.filter(({ kind }) => kind === "custom").map(({ key }) => String(key)));
  const flagsUrl = await stage.serve(flags);
  const destination = { url: flagsUrl, writeKey: "sdk-out", environmentId: "env-out", ...SOON };
  const relay = await stage.startRelay({
    flags: {
      sources: { sdks: { protocol: "launchdarkly", writeKeys: ["sdk-in"], environmentId: "env-in" } },
      destinations: { launchdarkly: { vendor: "launchdarkly", ...destination } },
    },
  });
  return { flags, flagsUrl, relay };
}

/** As much of every SDK as is used here. */
export interface LaunchDarkly {
  waitForInitialization?(timeoutS?: number): Promise<unknown>;
  waitUntilReady?(): Promise<unknown>;
  track(key: string, ...rest: readonly unknown[]): void;
  flush(): Promise<unknown>;
  close(): unknown;
}

interface Server extends LaunchDarkly {
  variation(key: string, user: object, fallback: boolean): Promise<unknown>;
}

/** Half of the events, the relay killed and started again, the other half; in order. */
export async function trackThroughRestart(
  client: LaunchDarkly,
  { stage, world, user }: { readonly stage: Stage; readonly world: World; readonly user?: object },
): Promise<void> {
  for (const [index, event] of EVENT_NAMES.entries()) {
    if (index === HALF) {
      await client.flush();
      await world.relay.restart();
    }
    const key = stage.give(event);
    if (user === undefined) client.track(key, { index });
    else client.track(key, user, { index });
  }
  await client.flush();
  await client.close();
  await stage.arrived();
  const kept = world.flags.events.filter(({ kind }) => kind === "custom").map(({ key }) => key);
  expect(kept).toEqual(EVENT_NAMES);
}

/** Of an SDK that speaks this version of the schema of events. */
export function userOf(schema: string): object {
  return schema === "4" ? { kind: "user", key: "u" } : { key: "u" };
}

async function runServer(stage: Stage, name: string, schema: string): Promise<void> {
  const world = await setUp(stage);
  const sdk = load<{ init(key: string, options: object): Server }>(name);
  const { flagsUrl, relay } = world;
  // The oldest has other names for the same options.
  const options =
    name === "ldclient-node"
      ? { base_uri: flagsUrl, stream_uri: flagsUrl, events_uri: relay.url, flush_interval: NEVER_S }
      : { baseUri: flagsUrl, streamUri: flagsUrl, eventsUri: relay.url, flushInterval: NEVER_S };
  const client = sdk.init("sdk-in", { ...options, stream: false, logger: LOGGER });
  await (client.waitForInitialization?.(10) ?? client.waitUntilReady?.());
  const user = userOf(schema);
  expect(await client.variation("flag", user, false)).toBe(true);
  await trackThroughRestart(client, { stage, world, user });
  expect(world.flags.payloads[0]?.headers).toMatchObject({
    "x-launchdarkly-event-schema": schema,
    authorization: "sdk-out",
  });
  // Old events leave summarised: an index event and counters instead of each evaluation.
  const kinds = world.flags.events.map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(["index", "summary"]));
  expect(kinds).not.toContain("feature");
}

async function runNodeClient(stage: Stage): Promise<void> {
  const world = await setUp(stage);
  const sdk = load<{ initialize(id: string, user: object, options: object): LaunchDarkly }>(
    "launchdarkly-node-client-sdk",
  );
  const client = sdk.initialize("env-in", userOf("4"), {
    baseUrl: world.flagsUrl,
    streamUrl: world.flagsUrl,
    eventsUrl: world.relay.url,
    flushInterval: NEVER_MS,
    logger: LOGGER,
  });
  await client.waitForInitialization?.(10);
  await trackThroughRestart(client, { stage, world });
  expect(world.flags.payloads[0]?.path).toBe("/events/bulk/env-out");
}

const SERVERS = [
  ["@launchdarkly/node-server-sdk", "4"],
  ["launchdarkly-node-server-sdk-7", "4"],
  ["launchdarkly-node-server-sdk-6", "3"],
  ["ldclient-node", "3"],
] as const;

export const scenarios: readonly Scenario[] = [
  ...SERVERS.map(([client, schema]): Scenario => {
    return { client, how: `schema ${schema}`, run: (stage) => runServer(stage, client, schema) };
  }),
  { client: "launchdarkly-node-client-sdk", how: "the environment in the path", run: runNodeClient },
];
