/** What must hold although the schema cannot say it. */
import type { ConfigFault } from "./faults.ts";
import type { Locate, Path } from "./load.ts";
import { addressOf, type RawConfig, type RawDestination, type RawSource } from "./resolve.ts";
import { bytesOf, millisecondsOf, modeOf } from "./units.ts";

const BODY_MAX_BYTES = 32 * 1024 * 1024;
const BACKOFF_MAX_MS = 60_000;
const OWNER_READS_AND_WRITES = 0o600;
const OWNER_HAS_ALL = 0o700;

export function semanticFaults(config: RawConfig, locate: Locate): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault = (path: Path, message: string, hint?: string): void => {
    faults.push({ ...locate(path), message, ...(hint === undefined ? {} : { hint }) });
  };

  for (const [path, text] of [
    [["listen"], config.listen],
    [["admin", "listen"], config.admin?.listen],
  ] as const)
    if (text !== undefined && addressOf(text) === undefined)
      fault(path, `is "${text}", no address`, "for example 127.0.0.1:8080 or [::]:8080");
  if (bytesOf(config.limits?.bodyMaxBytes ?? 0) > BODY_MAX_BYTES)
    fault(["limits", "bodyMaxBytes"], "is above 32MiB", "a body is held in memory whole");
  const { maxBytes = "10GiB", hardMaxBytes = "20GiB" } = config.retention ?? {};
  if (bytesOf(hardMaxBytes) < bytesOf(maxBytes))
    fault(["retention", "hardMaxBytes"], "is below retention.maxBytes", "the hard limit comes after the soft one");

  const { files = "0600", directories = "0700" } = config.permissions ?? {};
  if ((modeOf(files) & OWNER_READS_AND_WRITES) !== OWNER_READS_AND_WRITES)
    fault(["permissions", "files"], `is "${files}"; the owner could not read and write`, "for example 0600 or 0640");
  if ((modeOf(directories) & OWNER_HAS_ALL) !== OWNER_HAS_ALL)
    fault(["permissions", "directories"], `is "${directories}"; the owner has not all rights`, "for example 0700");

  const owners = new Map<string, string>();
  for (const [environmentName, { sources, destinations }] of Object.entries(config.environments)) {
    const at = ["environments", environmentName];
    for (const [name, source] of Object.entries(sources)) {
      const { prefix } = source;
      const owner = `${environmentName}/${name}`;
      sourceFaults(source, [...at, "sources", name], fault);
      for (const list of ["writeKeys", "mobileKeys"] as const) {
        for (const [index, raw] of (source[list] ?? []).entries()) {
          const key = `${list} ${typeof raw === "string" ? raw : raw.key}`;
          const other = owners.get(key);
          if (other !== undefined)
            fault([...at, "sources", name, list, index], `is a key of ${other} too`, "a key names one source");
          owners.set(key, owner);
        }
      }
      for (const host of source.hosts ?? []) {
        const other = owners.get(`host ${host}`);
        if (other !== undefined) fault([...at, "sources", name, "hosts"], `has ${host}, as ${other} does`);
        owners.set(`host ${host}`, owner);
      }
      for (const path of prefix === undefined ? [`/s/${name}`] : [`/s/${name}`, prefix]) {
        const other = owners.get(`path ${path}`);
        if (other !== undefined)
          fault(
            [...at, "sources", name],
            `answers under ${path}, as ${other} does`,
            "give one of them another name or prefix",
          );
        owners.set(`path ${path}`, owner);
      }
    }
    for (const [name, destination] of Object.entries(destinations))
      destinationFaults(destination, [...at, "destinations", name], fault);
  }
  return faults;
}

type Fault = (path: Path, message: string, hint?: string) => void;

function sourceFaults(source: RawSource, at: Path, fault: Fault): void {
  if (source.protocol === "launchdarkly") return;
  for (const key of [
    "mobileKeys",
    "environmentId",
    "allowedOrigins",
    "allowedHeaders",
    "sendEvents",
    "memory",
  ] as const)
    if (source[key] !== undefined) fault([...at, key], `is for launchdarkly, not for ${source.protocol}`);
}

/** What each kind of destination has beside the common settings, and must have. */
const OWN: Readonly<Partial<Record<keyof RawDestination, readonly RawDestination["vendor"][]>>> = {
  mobileKey: ["launchdarkly"],
  environmentId: ["launchdarkly"],
  inlineUsers: ["launchdarkly"],
  flagsFile: ["launchdarkly"],
  flagsFromVendor: ["launchdarkly"],
  flagsUrl: ["launchdarkly"],
  tenantId: ["trophy"],
  headers: ["http"],
  signingSecret: ["http"],
  format: ["http", "file"],
  path: ["file"],
  rotateBytes: ["file"],
  rotateAfter: ["file"],
};

function destinationFaults(destination: RawDestination, at: Path, fault: Fault): void {
  const { vendor, url, backoff, writeKey, path, format } = destination;
  for (const [key, vendors] of Object.entries(OWN))
    if (destination[key as keyof RawDestination] !== undefined && !vendors.includes(vendor))
      fault([...at, key], `is for ${vendors.join(" and ")}, not for ${vendor}`);
  const hasKey = vendor !== "http" && vendor !== "file";
  if (hasKey && writeKey === undefined)
    fault([...at, "writeKey"], "is required", "The vendor's key. Take it from the environment: ${SEGMENT_WRITE_KEY}.");
  if (!hasKey && writeKey !== undefined) fault([...at, "writeKey"], `is not for ${vendor}`);
  if (vendor === "http" && url === undefined) fault([...at, "url"], "is required", "where to post the events");
  if (vendor === "file" && path === undefined) fault([...at, "path"], "is required", "where to append the events");
  if (vendor === "file" && url !== undefined) fault([...at, "url"], "is not for file");
  if (vendor === "file" && format === "json") fault([...at, "format"], "is json; files have a line per event");
  if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)))
    fault([...at, "url"], `is "${url}", no http or https URL`, "for example https://api.segment.io");
  else if (url !== undefined && (new URL(url).username !== "" || (vendor !== "http" && new URL(url).search !== "")))
    fault([...at, "url"], "carries credentials or a query", "the key belongs into writeKey");
  if (millisecondsOf(backoff?.max ?? 0) > BACKOFF_MAX_MS)
    fault(
      [...at, "backoff", "max"],
      "is above 60s",
      "a destination that recovers should not wait longer for its events",
    );
}
