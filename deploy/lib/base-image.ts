/**
 * An image with Node and npm made of this machine's own files, for builds where no registry can be
 * reached: it stands for the base that the Dockerfile names.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Podman } from "./podman.ts";

/** What the Dockerfile's RUN lines call. */
const PROGRAMS = ["sh", "env", "mkdir"];

/** Imports it under `name`. */
export async function importBase(podman: Podman, name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-base-"));
  try {
    const root = join(folder, "root");
    for (const place of ["usr/bin", "usr/lib/node_modules", "tmp", "etc", "proc", "sys", "dev", "var"])
      mkdirSync(join(root, place), { recursive: true });
    symlinkSync("usr/bin", join(root, "bin"));
    copyProgram(root, process.execPath, "node");
    for (const program of PROGRAMS) copyProgram(root, pathOf(program), program);
    const npm = join(dirname(realpathSync(pathOf("npm"))), "..");
    cpSync(npm, join(root, "usr/lib/node_modules/npm"), { recursive: true });
    symlinkSync("../lib/node_modules/npm/bin/npm-cli.js", join(root, "usr/bin/npm"));
    writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
    const archive = join(folder, "base.tar");
    execFileSync("tar", ["--owner=0", "--group=0", "-C", root, "-cf", archive, "."]);
    await podman("import", "--quiet", archive, name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** With the shared libraries that it loads, where it looks for them. */
function copyProgram(root: string, path: string, name: string): void {
  cpSync(realpathSync(path), join(root, "usr/bin", name));
  for (const [library] of execFileSync("ldd", [path], { encoding: "utf8" }).matchAll(/\/\S+/g)) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    cpSync(realpathSync(library), join(root, library));
  }
}

function pathOf(program: string): string {
  return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
}
