/** What must hold although the schema cannot say it. Keys, tokens and the like are never a part of a message. */
import { bytesOf, headerNameFault, headerValueFault, keyFault, millisecondsOf } from "@waybill/vendors/config";
import { isLoopback } from "../admin/guard.ts";
import type { ConfigFault } from "./faults.ts";
import { filePathFaults } from "./file-paths.ts";
import type { Path, Places } from "./places.ts";
import { addressOf, modeOf, type RawConfig, type RawDestination, type RawKey, type RawSource } from "./resolve.ts";

type Fault = (path: Path, message: string | undefined, hint?: string) => void;

const BODY_MAX_BYTES = 32 * 1024 * 1024;
const BACKOFF_MAX_MS = 60_000;
const OWNER_READS_AND_WRITES = 0o600;
const OWNER_HAS_ALL = 0o700;
/** What frames a request is the transport's own. */
const FRAMING = [
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

export function semanticFaults(config: RawConfig, places: Places): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault: Fault = (path, message, hint) => {
    if (message !== undefined) faults.push({ ...places.of(path), message, ...(hint === undefined ? {} : { hint }) });
  };
  relayFaults(config, fault, places);
  const owners = new Map<string, string>();
  for (const [environmentName, { sources, destinations }] of Object.entries(config.environments)) {
    const at = ["environments", environmentName];
    for (const [name, source] of Object.entries(sources)) {
      const { prefix } = source;
      const owner = `${environmentName}/${name}`;
      sourceFaults(source, [...at, "sources", name], fault);
      for (const list of ["writeKeys", "mobileKeys"] as const) {
        for (const [index, raw] of (source[list] ?? []).entries()) {
          const path = [...at, "sources", name, list, index];
          keyFaults(raw, path, fault);
          const key = `${list} ${typeof raw === "string" ? raw : raw.key}`;
          const other = owners.get(key);
          if (other !== undefined) fault(path, `is a key of ${other} too`, "a key names one source");
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
      destinationFaults(destination, { at: [...at, "destinations", name], places }, fault);
  }
  filePathFaults(config, fault);
  return faults;
}

function relayFaults(config: RawConfig, fault: Fault, places: Places): void {
  const { admin, limits, dataDirectory = "" } = config;
  for (const [path, text] of [
    [["listen"], config.listen],
    [["admin", "listen"], admin?.listen],
  ] as const)
    if (text !== undefined && addressOf(text) === undefined)
      fault(path, `is ${places.shown(path, text)}, no address`, "for example 127.0.0.1:8080 or [::]:8080");
  const host = admin?.listen === undefined ? undefined : addressOf(admin.listen)?.host;
  if (host !== undefined && !isLoopback(host.toLowerCase()) && admin?.token === undefined)
    fault(
      ["admin", "listen"],
      "is not loopback, and there is no admin.token",
      "set a token (WAYBILL_ADMIN_TOKEN), or listen on 127.0.0.1",
    );
  if (admin?.token !== undefined) fault(["admin", "token"], keyFault(admin.token));
  if (dataDirectory.includes("\0")) fault(["dataDirectory"], "has a zero byte");
  if (bytesOf(limits?.bodyMaxBytes ?? 0) > BODY_MAX_BYTES)
    fault(["limits", "bodyMaxBytes"], "is above 32MiB", "a body is held in memory whole");
  const { headersTimeout = "10s", requestTimeout = "60s" } = limits ?? {};
  if (millisecondsOf(headersTimeout) > millisecondsOf(requestTimeout))
    fault(["limits", "headersTimeout"], "is above limits.requestTimeout", "the headers are a part of the request");
  const { maxBytes = "10GiB", hardMaxBytes = "20GiB" } = config.retention ?? {};
  if (bytesOf(hardMaxBytes) < bytesOf(maxBytes))
    fault(["retention", "hardMaxBytes"], "is below retention.maxBytes", "the hard limit comes after the soft one");
  const { files = "0600", directories = "0700" } = config.permissions ?? {};
  if ((modeOf(files) & OWNER_READS_AND_WRITES) !== OWNER_READS_AND_WRITES)
    fault(["permissions", "files"], `is "${files}"; the owner could not read and write`, "for example 0600 or 0640");
  if ((modeOf(directories) & OWNER_HAS_ALL) !== OWNER_HAS_ALL)
    fault(["permissions", "directories"], `is "${directories}"; the owner has not all rights`, "for example 0700");
}

function keyFaults(raw: RawKey, at: Path, fault: Fault): void {
  if (typeof raw === "string") return fault(at, keyFault(raw));
  fault([...at, "key"], keyFault(raw.key));
  if (raw.expires !== undefined && Number.isNaN(Date.parse(raw.expires)))
    fault([...at, "expires"], "is no time", "for example 2027-01-01T00:00:00Z");
}

function sourceFaults(source: RawSource, at: Path, fault: Fault): void {
  const { environmentId } = source;
  if (environmentId !== undefined) fault([...at, "environmentId"], keyFault(environmentId));
  if (source.protocol === "launchdarkly") {
    if (source.keyless !== undefined)
      fault([...at, "keyless"], "is not for launchdarkly", "each of its requests has a key, in a header or the path");
    return;
  }
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
  eventQueueCleanupInterval: ["launchdarkly"],
  tenantId: ["trophy"],
  headers: ["http"],
  signingSecret: ["http"],
  format: ["http", "file"],
  path: ["file"],
  rotateBytes: ["file"],
  rotateAfter: ["file"],
};

function destinationFaults(
  destination: RawDestination,
  { at, places }: { readonly at: Path; readonly places: Places },
  fault: Fault,
): void {
  const { vendor, url, flagsUrl, backoff, writeKey, path, format, tenantId, headers, flagsFile } = destination;
  for (const [key, vendors] of Object.entries(OWN))
    if (destination[key as keyof RawDestination] !== undefined && !vendors.includes(vendor))
      fault([...at, key], `is for ${vendors.join(" and ")}, not for ${vendor}`);
  const hasKey = vendor !== "http" && vendor !== "file";
  if (hasKey && writeKey === undefined)
    fault([...at, "writeKey"], "is required", "The vendor's key. Take it from the environment: ${SEGMENT_WRITE_KEY}.");
  if (!hasKey && writeKey !== undefined) fault([...at, "writeKey"], `is not for ${vendor}`);
  for (const key of ["writeKey", "mobileKey", "environmentId"] as const) {
    const text = destination[key];
    if (text !== undefined) fault([...at, key], keyFault(text));
  }
  if (tenantId !== undefined) fault([...at, "tenantId"], headerValueFault(tenantId));
  headerFaults(headers ?? {}, [...at, "headers"], fault);
  if (vendor === "http" && url === undefined) fault([...at, "url"], "is required", "where to post the events");
  if (vendor === "file" && path === undefined) fault([...at, "path"], "is required", "where to append the events");
  if (vendor === "file" && url !== undefined) fault([...at, "url"], "is not for file");
  if (vendor === "file" && format === "json") fault([...at, "format"], "is json; files have a line per event");
  for (const key of ["path", "flagsFile"] as const)
    if ((key === "path" ? path : flagsFile)?.includes("\0") === true) fault([...at, key], "has a zero byte");
  if (url !== undefined) urlFaults(url, { at: [...at, "url"], mayHaveQuery: vendor === "http", places }, fault);
  if (flagsUrl !== undefined) urlFaults(flagsUrl, { at: [...at, "flagsUrl"], mayHaveQuery: false, places }, fault);
  if (millisecondsOf(backoff?.max ?? 0) > BACKOFF_MAX_MS)
    fault(
      [...at, "backoff", "max"],
      "is above 60s",
      "a destination that recovers should not wait longer for its events",
    );
}

/** One that is wrong is shown only where it looks like a URL without credentials: it may be a key that stands in the wrong place. */
function urlFaults(
  url: string,
  { at, mayHaveQuery, places }: { readonly at: Path; readonly mayHaveQuery: boolean; readonly places: Places },
  fault: Fault,
): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    const shown = /^[a-z][a-z0-9+.-]*:\/\/[^@?#\s]*$/i.test(url) ? `is ${places.shown(at, url)},` : "is";
    fault(at, `${shown} no http or https URL`, "for example https://api.segment.io");
  } else if (/\s/.test(url)) fault(at, "has white space", "the file or variable it comes from may end in a line break");
  else if (parsed.username !== "" || parsed.password !== "" || (!mayHaveQuery && parsed.search !== ""))
    fault(at, "carries credentials or a query", "the key belongs into writeKey");
  else if (parsed.hash !== "" || url.includes("#")) fault(at, "has a fragment (#), which is never sent");
}

function headerFaults(headers: Readonly<Record<string, string>>, at: Path, fault: Fault): void {
  const seen = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    fault([...at, name], headerNameFault(name));
    fault([...at, name], headerValueFault(value));
    if (FRAMING.includes(lower)) fault([...at, name], "is set by the relay itself");
    if (seen.has(lower)) fault([...at, name], "is given twice; header names are the same in any case");
    seen.add(lower);
  }
}
