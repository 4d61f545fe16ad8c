/**
 * `npm run release`: the next version, made from the changesets. Changesets sets the version of all
 * packages; this moves what the changesets say into CHANGELOG.md, and sets the version wherever
 * else it is written. Nothing is committed or published.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** The code has the version in one place. */
const VERSION_FILE = "packages/core/src/about.ts";

export type Bump = "major" | "minor" | "patch";

export interface Changeset {
  /** What changes in which package. */
  readonly bumps: ReadonlyMap<string, Bump>;
  readonly text: string;
}

/** A changeset as `changeset` writes it: packages between two lines of dashes, then Markdown. */
export function parseChangeset(source: string): Changeset {
  const [, head = "", text = ""] = /^---\n([\s\S]*?)---\n([\s\S]*)$/.exec(source) ?? [];
  const bumps = [...head.matchAll(/^["']?([^"':\n]+)["']?:\s*(major|minor|patch)\s*$/gm)];
  if (bumps.length === 0 || text.trim() === "") throw new Error("a changeset needs packages and a text");
  return { bumps: new Map(bumps.map(([, name, bump]) => [name as string, bump as Bump])), text: text.trim() };
}

/** The changesets that wait in a folder, in the order of their names. */
export function pendingChangesets(folder: string): Changeset[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".md") && name !== "README.md")
    .toSorted()
    .map((name) => parseChangeset(readFileSync(join(folder, name), "utf8")));
}

/** The changelog with a section for the new version above those of older ones. */
export function withRelease(changelog: string, version: string, changesets: readonly Changeset[]): string {
  const entries = changesets.map(({ bumps, text }) => `${packagesLine([...bumps.keys()])}\n\n${text}\n`);
  const section = `## ${version}\n\n${entries.join("\n")}\n`;
  const older = changelog.search(/^## /m);
  return older === -1 ? `${changelog}\n${section}` : changelog.slice(0, older) + section + changelog.slice(older);
}

function packagesLine(names: readonly string[]): string {
  return `**${names.map((name) => `\`${name}\``).join(", ")}**`;
}

function versionOf(manifest: string): string {
  return (JSON.parse(readFileSync(join(ROOT, manifest), "utf8")) as { readonly version: string }).version;
}

function rewrite(path: string, change: (text: string) => string): void {
  writeFileSync(join(ROOT, path), change(readFileSync(join(ROOT, path), "utf8")));
}

function main(): void {
  const changesets = pendingChangesets(join(ROOT, ".changeset"));
  if (changesets.length === 0) {
    process.stdout.write("no changeset waits: there is nothing to release\n");
    return;
  }
  const before = versionOf("packages/client/package.json");
  execFileSync("npx", ["changeset", "version"], { cwd: ROOT, stdio: "inherit" });
  const version = versionOf("packages/client/package.json");
  rewrite("CHANGELOG.md", (text) => withRelease(text, version, changesets));
  rewrite(VERSION_FILE, (text) => text.replace(`"${before}"`, `"${version}"`));
  // The root is not a workspace, so Changesets leaves its dependencies on the packages as they are.
  rewrite("package.json", (text) =>
    text.replaceAll(
      new RegExp(`("(?:waybill|@waybill/[a-z]+)": )"${before.replaceAll(".", "\\.")}"`, "g"),
      `$1"${version}"`,
    ),
  );
  execFileSync("npm", ["install", "--package-lock-only", "--no-audit", "--no-fund"], { cwd: ROOT, stdio: "inherit" });
  process.stdout.write(`${version}: read CHANGELOG.md, then commit\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
