/**
 * Builds the page into the relay's package, when something that goes into it has changed since the
 * last time. Started by `npm run build`, which stays fast: what did not change is not built.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Opened over slow lines too. */
const MAX_GZIP_BYTES = 81_920;
const HERE = import.meta.dirname;
const ROOT = join(HERE, "../..");
const OUT = join(HERE, "../relay/page");
const CONFIG = fileURLToPath(new URL("vite.config.ts", import.meta.url));
/** Not in the folder that is served. */
const STAMP = join(HERE, "dist/page.sha256");

const digest = createHash("sha256");
for (const file of inputs()) digest.update(file).update("\0").update(readFileSync(file)).update("\0");
const wanted = digest.digest("hex");

if (!isBuilt()) {
  const { build } = await import("vite");
  await build({ configFile: CONFIG, logLevel: "warn" });
  checkSize();
  writeFileSync(STAMP, wanted);
}

/** Throws when the page is larger, in all, than what it may be. */
function checkSize() {
  const bytes = filesUnder(OUT).reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
  if (bytes > MAX_GZIP_BYTES) throw new Error(`The page has ${bytes} bytes after gzip; at most ${MAX_GZIP_BYTES}.`);
}

function isBuilt() {
  return existsSync(join(OUT, "index.html")) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === wanted;
}

/** The lock file names the versions of what is bundled. */
function inputs() {
  const own = ["build.mjs", "index.html", "package.json", "vite.config.ts"].map((name) => join(HERE, name));
  return [...own, ...filesUnder(join(HERE, "src")), join(ROOT, "package-lock.json")];
}

function filesUnder(folder) {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? filesUnder(path) : [path];
    });
}
