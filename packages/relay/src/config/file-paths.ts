/**
 * Where file destinations append: a path of their own, not where the relay's own files are.
 * Compared as names; links are not followed.
 */
import { resolve } from "node:path";
import { ROTATIONS_NAME, ROTATIONS_UNFINISHED } from "../credentials/rotation-store.ts";
import { FORMAT_NAME, FORMAT_UNFINISHED } from "../lifecycle/data-format.ts";
import type { Path } from "./places.ts";
import type { ParsedConfig } from "./types.ts";

export function filePathFaults(
  { dataDirectory, environments }: ParsedConfig,
  fault: (path: Path, message: string, hint?: string) => void,
): void {
  const owners = new Map<string, string>();
  const files = Object.entries(environments).flatMap(([environment, { destinations }]) =>
    Object.entries(destinations).flatMap(([name, destination]) =>
      destination.vendor === "file"
        ? [
            {
              owner: `${environment}/${name}`,
              path: destination.path,
              at: ["environments", environment, "destinations", name, "path"],
            },
          ]
        : [],
    ),
  );
  const data = resolve(dataDirectory);
  const own = [
    ...Object.keys(environments),
    ".lock",
    FORMAT_NAME,
    FORMAT_UNFINISHED,
    ROTATIONS_NAME,
    ROTATIONS_UNFINISHED,
  ].map((name) => `${data}/${name}`);
  for (const { owner, path, at } of files) {
    if (path.endsWith("/") || path.endsWith("/.") || path.endsWith("/..") || path === "." || path === "..") {
      fault(at, "names a directory", "give the file's own name, such as /var/log/events.ndjson");
      continue;
    }
    const whole = resolve(path);
    const other = owners.get(whole);
    if (other !== undefined) fault(at, `is the file of ${other} too`, "each destination appends to a file of its own");
    else if (isWithin(data, whole) || own.some((folder) => isWithin(whole, folder)))
      fault(at, "is where the relay's own files are", "the folders of environments in the data directory are its own");
    else {
      const around = [...owners].find(([known]) => isWithin(whole, known) || isWithin(known, whole));
      if (around !== undefined) fault(at, `and the file of ${around[1]} are one within the other`);
    }
    owners.set(whole, owner);
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
