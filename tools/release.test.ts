import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "@waybill/core";
import { expect, test } from "vitest";
import { parseChangeset, pendingChangesets, withRelease } from "./release.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
}

const manifests = readdirSync(join(ROOT, "packages")).map(
  (folder) => JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8")) as Manifest,
);

test("the changesets that wait name packages that there are", () => {
  const names = manifests.map(({ name }) => name);
  for (const { bumps } of pendingChangesets(join(ROOT, ".changeset")))
    for (const name of bumps.keys()) expect(names).toContain(name);
});

test("a changeset without a package or a text is refused", () => {
  expect(parseChangeset('---\n"waybill": minor\n---\n\nIt flies.\n')).toEqual({
    bumps: new Map([["waybill", "minor"]]),
    text: "It flies.",
  });
  for (const source of [
    "It flies.\n",
    "---\n---\n\nIt flies.\n",
    '---\n"waybill": minor\n---\n\n',
    '---\n"waybill": huge\n---\nIt.\n',
  ])
    expect(() => parseChangeset(source), source).toThrow("a changeset needs");
});

test("a release puts what its changesets say above the older versions", () => {
  const older = "# Changelog\n\nOne version for all.\n\n## 0.1.0\n\nThe first.\n";
  const changesets = [
    parseChangeset('---\n"waybill": minor\n"@waybill/relay": patch\n---\n\nIt flies.\n\n- far\n'),
    parseChangeset("---\nwaybill: patch\n---\nIt lands.\n"),
  ];
  expect(withRelease(older, "0.2.0", changesets)).toBe(
    "# Changelog\n\nOne version for all.\n\n## 0.2.0\n\n**`waybill`, `@waybill/relay`**\n\nIt flies.\n\n- far\n\n**`waybill`**\n\nIt lands.\n\n## 0.1.0\n\nThe first.\n",
  );
});

test("all packages, their code and the changelog name one version", () => {
  const [{ version } = { version: "" }] = manifests;
  for (const manifest of manifests) expect(manifest.version, manifest.name).toBe(version);
  expect(VERSION).toBe(version);
  expect(/^## (.*)$/m.exec(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"))?.[1]).toBe(version);
});
