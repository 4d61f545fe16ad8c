/** What must hold although the schema cannot say it. */
import type { ConfigFault } from "./faults.ts";
import type { Locate, Path } from "./load.ts";
import { addressOf, type RawConfig, type RawDestination } from "./resolve.ts";
import { bytesOf, millisecondsOf } from "./units.ts";

const BODY_MAX_BYTES = 32 * 1024 * 1024;
const BACKOFF_MAX_MS = 60_000;
const BATCH_MAX_BYTES = 498_000;

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

  const owners = new Map<string, string>();
  for (const [environmentName, { sources, destinations }] of Object.entries(config.environments)) {
    const at = ["environments", environmentName];
    for (const [name, { writeKeys, prefix }] of Object.entries(sources)) {
      const owner = `${environmentName}/${name}`;
      for (const [index, key] of writeKeys.entries()) {
        const other = owners.get(key);
        if (other !== undefined)
          fault([...at, "sources", name, "writeKeys", index], `is a key of ${other} too`, "a key names one source");
        owners.set(key, owner);
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

function destinationFaults(
  { url, backoff, batch }: RawDestination,
  at: Path,
  fault: (path: Path, message: string, hint?: string) => void,
): void {
  if (url !== undefined && !(URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)))
    fault([...at, "url"], `is "${url}", no http or https URL`, "for example https://api.segment.io");
  else if (url !== undefined && (new URL(url).username !== "" || new URL(url).search !== ""))
    fault([...at, "url"], "carries credentials or a query", "the key belongs into writeKey");
  if (millisecondsOf(backoff?.max ?? 0) > BACKOFF_MAX_MS)
    fault(
      [...at, "backoff", "max"],
      "is above 60s",
      "a destination that recovers should not wait longer for its events",
    );
  if (bytesOf(batch?.maxBytes ?? 0) > BATCH_MAX_BYTES)
    fault([...at, "batch", "maxBytes"], "is above 498KB", "Segment takes 500 KB with the envelope");
}
