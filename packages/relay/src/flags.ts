/**
 * Flag data for summaries of old events: from a file, or from LaunchDarkly by its own SDK, which keeps them current. Without either every flag is unknown: its evaluations
 * are counted all the same.
 */
import { readFileSync } from "node:fs";
import { messageOf, WaybillError } from "@waybill/core";
import type { Flag } from "@waybill/vendors";
import type { DestinationConfig } from "./config/types.ts";

export interface FlagSource {
  flag(key: string): Flag | undefined;
  close(): void;
}

const NONE: FlagSource = { flag: () => undefined, close: () => undefined };

export function createFlagSource(config: DestinationConfig): FlagSource {
  if (config.flagsFile !== undefined) return fromFile(config.flagsFile);
  return config.flagsFromVendor === true ? fromVendor(config) : NONE;
}

/** `{ "flags": { "<key>": { "variations": […], "trackEvents": … } } }`, as LaunchDarkly's flag service has it; read at the start and at each reload. */
function fromFile(path: string): FlagSource {
  let flags: Readonly<Record<string, Flag>>;
  try {
    const { flags: read } = JSON.parse(readFileSync(path, "utf8")) as {
      readonly flags?: Readonly<Record<string, Flag>>;
    };
    flags = read ?? {};
  } catch (error) {
    throw new WaybillError("WAYBILL_CONFIG", `flagsFile ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return { flag: (key) => (Object.hasOwn(flags, key) ? flags[key] : undefined), close: () => undefined };
}

type Item = { readonly version: number; readonly deleted?: boolean };
type Items = Record<string, Item>;

/** LaunchDarkly's SDK fills a store of ours, where the flags can be read as they are. */
function fromVendor({ writeKey, flagsUrl }: DestinationConfig): FlagSource {
  const data = new Map<string, Map<string, Item>>();
  let initialized = false;
  const store = {
    init(all: Record<string, Items>, done: () => void): void {
      for (const [kind, items] of Object.entries(all)) data.set(kind, new Map(Object.entries(items)));
      initialized = true;
      done();
    },
    get(kind: { namespace: string }, key: string, done: (item: unknown) => void): void {
      const item = data.get(kind.namespace)?.get(key);
      done(item === undefined || item.deleted === true ? null : item);
    },
    all(kind: { namespace: string }, done: (items: Items) => void): void {
      done(Object.fromEntries([...(data.get(kind.namespace) ?? [])].filter(([, item]) => item.deleted !== true)));
    },
    upsert(kind: { namespace: string }, item: { key: string; version: number }, done: () => void): void {
      const items = data.get(kind.namespace) ?? new Map<string, Item>();
      data.set(kind.namespace, items);
      if ((items.get(item.key)?.version ?? -1) < item.version) items.set(item.key, item);
      done();
    },
    delete(kind: { namespace: string }, key: string, version: number, done: () => void): void {
      this.upsert(kind, { key, version, deleted: true } as never, done);
    },
    initialized: (done: (is: boolean) => void): void => done(initialized),
    close: (): void => undefined,
  };
  let client: { close(): void } | undefined;
  let closed = false;
  const start = async (): Promise<void> => {
    const { init } = await import("@launchdarkly/node-server-sdk");
    if (closed) return;
    const urls = flagsUrl === undefined ? {} : { baseUri: flagsUrl, streamUri: flagsUrl, stream: false };
    const silent = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined };
    client = init(writeKey, {
      ...urls,
      featureStore: store as never,
      sendEvents: false,
      diagnosticOptOut: true,
      logger: silent,
    });
  };
  // It throws for a key that cannot be one. Then no flag is known, and events are counted all the same.
  start().catch(() => undefined);
  return {
    flag(key) {
      const flag = data.get("features")?.get(key) as (Flag & { readonly deleted?: boolean }) | undefined;
      return flag?.deleted === true ? undefined : flag;
    },
    close() {
      closed = true;
      client?.close();
    },
  };
}
