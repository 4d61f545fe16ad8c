/**
 * Flag data for summaries of old events: from a file, or from LaunchDarkly by its own SDK, which
 * keeps them current. Without either every flag is unknown: its evaluations are counted all the
 * same.
 */
import type { Agent } from "node:http";
import { WaybillError } from "@waybill/core";
import { createOutboundAgent } from "@waybill/node";
import type { Flag } from "@waybill/vendors";
import { readWhole } from "../config/outside-files.ts";
import type { LaunchDarklyDestination } from "./options.ts";

export interface FlagSource {
  flag(key: string): Flag | undefined;
  close(): void;
}

export interface FlagSettings {
  /**
   * Keeps the vendor's SDK, which makes its own requests, from connecting to private addresses too.
   */
  readonly publicOnly?: boolean;
}

/** Where the SDK finds flags by itself. */
const FLAGS_URL = "https://sdk.launchdarkly.com";
/** Of flag data. */
const FILE_MAX_BYTES = 64 * 1024 * 1024;
const NONE: FlagSource = { flag: () => undefined, close: () => undefined };

/** **Errors**: `WAYBILL_CONFIG` for a file that cannot be read or is not flag data. */
export function createFlagSource(config: LaunchDarklyDestination, settings: FlagSettings): FlagSource {
  if (config.flagsFile !== undefined) return fromFile(config.flagsFile);
  return config.flagsFromVendor ? fromVendor(config, settings) : NONE;
}

/**
 * `{ "flags": { "<key>": { "variations": […], "trackEvents": … } } }`, as LaunchDarkly's flag
 * service has it; read at the start and at each reload.
 */
function fromFile(path: string): FlagSource {
  const flags = flagsOf(path);
  return { flag: (key) => (Object.hasOwn(flags, key) ? flags[key] : undefined), close: () => undefined };
}

/**
 * What a parser says of a file that is not JSON quotes it: the path alone is enough, and may be any
 * file.
 */
function flagsOf(path: string): Readonly<Record<string, Flag>> {
  const data = parsed(textOf(path));
  const flags = isObject(data) ? (data["flags"] ?? {}) : undefined;
  if (!isObject(flags) || !Object.values(flags).every(isObject))
    throw new WaybillError("WAYBILL_CONFIG", `flagsFile ${path} is not { "flags": { "<key>": {…} } }`);
  return flags as Readonly<Record<string, Flag>>;
}

function textOf(path: string): string {
  const found = readWhole(path, { maxBytes: FILE_MAX_BYTES, tooLarge: `is larger than ${FILE_MAX_BYTES} bytes` });
  if ("text" in found) return found.text;
  throw new WaybillError("WAYBILL_CONFIG", `flagsFile ${path} ${found.fault}`, { cause: found.cause });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Item {
  readonly key: string;
  readonly version: number;
  readonly deleted?: boolean;
}

/** By which its SDK connects; `undefined`: as Node does by itself. */
function agentFor(
  { flagsUrl = FLAGS_URL, outbound = {} }: LaunchDarklyDestination,
  publicOnly: boolean,
): Agent | undefined {
  return createOutboundAgent({ ...outbound, publicOnly }, flagsUrl);
}

/** LaunchDarkly's SDK fills a store of ours, where the flags can be read as they are. */
function fromVendor(config: LaunchDarklyDestination, { publicOnly = false }: FlagSettings): FlagSource {
  const { writeKey, flagsUrl } = config;
  const agent = agentFor(config, publicOnly);
  /** By kind and key: keys come from the vendor and from events. */
  const data = new Map<string, Map<string, Item>>();
  let initialized = false;
  const store = {
    init(all: Record<string, Record<string, Item>>, done: () => void): void {
      for (const [kind, items] of Object.entries(all)) data.set(kind, new Map(Object.entries(items)));
      initialized = true;
      done();
    },
    get(kind: { namespace: string }, key: string, done: (item: unknown) => void): void {
      const item = data.get(kind.namespace)?.get(key);
      done(item === undefined || item.deleted === true ? null : item);
    },
    all(kind: { namespace: string }, done: (items: Record<string, Item>) => void): void {
      const items = [...(data.get(kind.namespace) ?? [])].filter(([, item]) => item.deleted !== true);
      done(Object.fromEntries(items));
    },
    upsert(kind: { namespace: string }, item: Item, done: () => void): void {
      const items = data.get(kind.namespace) ?? new Map<string, Item>();
      if ((items.get(item.key)?.version ?? -1) < item.version) items.set(item.key, item);
      data.set(kind.namespace, items);
      done();
    },
    delete(kind: { namespace: string }, key: string, version: number, done: () => void): void {
      this.upsert(kind, { key, version, deleted: true }, done);
    },
    initialized: (done: (is: boolean) => void): void => done(initialized),
    close: (): void => undefined,
  };
  let client: { close(): void } | undefined;
  let closed = false;
  const begin = async (): Promise<void> => {
    const { init } = await import("@launchdarkly/node-server-sdk");
    if (closed) return;
    const urls = flagsUrl === undefined ? {} : { baseUri: flagsUrl, streamUri: flagsUrl, stream: false };
    const silent = { error: () => undefined, warn: () => undefined, info: () => undefined, debug: () => undefined };
    client = init(writeKey, {
      ...urls,
      ...(agent === undefined ? {} : { proxyAgent: agent }),
      featureStore: store as never,
      sendEvents: false,
      diagnosticOptOut: true,
      logger: silent,
    });
  };
  // What the SDK refuses leaves every flag unknown; it must not end the process.
  begin().catch(() => undefined);
  return {
    flag(key) {
      const flag = data.get("features")?.get(key);
      return flag === undefined || flag.deleted === true ? undefined : (flag as unknown as Flag);
    },
    close() {
      closed = true;
      client?.close();
      agent?.destroy();
    },
  };
}
