/** Puts the pinned runtimes in place. */
import { fileURLToPath } from "node:url";
import { type Folder, installFolder } from "../tools/fetches.ts";

export const FOLDER: string = fileURLToPath(new URL(".", import.meta.url));
const RUNTIMES: Folder = {
  path: FOLDER,
  name: "runtimes",
  megabytes: 1_085,
  megabytesOf: {
    "@cloudflare/workerd-linux-64": 155,
    "@deno/linux-x64-glibc": 92,
    "@oven/bun-linux-x64": 103,
    node20: 150,
    node22: 185,
    node24: 189,
    node26: 211,
  },
};
const WANTED_PLATFORM = "linux x64";

/** Resolves to why they cannot be had here, else to `undefined`. */
export async function installRuntimes(): Promise<string | undefined> {
  const platform = `${process.platform} ${process.arch}`;
  if (platform !== WANTED_PLATFORM) return `the pinned runtimes are for ${WANTED_PLATFORM}, this is ${platform}`;
  return installFolder(RUNTIMES);
}
