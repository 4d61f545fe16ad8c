import { statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { WaybillError } from "@waybill/core";
import { segmentNames } from "@waybill/log";
import { nodeDisk } from "@waybill/node";
import { listed } from "../../listed.ts";

/** Folders that are looked into for the log that was meant. */
const LOOKED_INTO_MAX = 100;

/** What to say when there is no log in `directory`; nothing is created. */
export async function missingLog(directory: string): Promise<WaybillError | undefined> {
  const isFolder = statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder && (await hasSegments(directory))) return undefined;
  const nearby = isFolder ? await logsBelow(directory) : [];
  const hint =
    nearby.length > 0
      ? `Did you mean ${listed(nearby).replace(" and ", " or ")}?`
      : "Give <dataDirectory>/<environment>/log.";
  return new WaybillError("WAYBILL_INPUT", `There is no log in ${directory}`, { hint });
}

/** **Errors**: `WAYBILL_INPUT` when there is no log. */
export async function checkLog(directory: string): Promise<void> {
  const missing = await missingLog(directory);
  if (missing !== undefined) throw missing;
}

async function hasSegments(directory: string): Promise<boolean> {
  return (await segmentNames(directory, nodeDisk).catch((): readonly string[] => [])).length > 0;
}

/** Of an environment's directory, and of a data directory. */
async function logsBelow(directory: string): Promise<readonly string[]> {
  const folders = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const names = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const candidates = ["log", ...names.slice(0, LOOKED_INTO_MAX).map((name) => join(name, "log"))];
  const found: string[] = [];
  for (const candidate of candidates) {
    const place = join(directory, candidate);
    if (await hasSegments(place)) found.push(place);
  }
  return found;
}

/** For the help of each command. */
export const LOG_DIRECTORY = "\nThe directory is that of the segments: <dataDirectory>/<environment>/log";
