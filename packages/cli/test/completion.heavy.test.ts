/** What a shell offers at each place of the command line; with a real bash where there is one. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { run, runHere, temporary } from "./lib/command.ts";
import { startTestRelay, TOKEN } from "./lib/relay.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const hasBash = spawnSync("bash", ["--version"]).status === 0;

/** A directory with the command itself, as it is when it is installed. */
function installed(): string {
  const directory = temporary();
  const file = join(directory, "waybill");
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
  chmodSync(file, 0o755);
  return directory;
}

interface Line {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
}

/** What bash offers for the last of these words. */
async function offered(words: readonly string[], { env = {}, cwd }: Line = {}): Promise<readonly string[]> {
  const directory = installed();
  const { out: completion } = await runHere(["completion", "bash"]);
  writeFileSync(join(directory, "completion.bash"), completion);
  const script = `source '${join(directory, "completion.bash")}'
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
_waybill 2>/dev/null
[ \${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"`;
  const child = spawn("bash", ["--norc", "-c", script, "bash", "waybill", ...words], {
    env: { PATH: `${directory}:${process.env["PATH"]}`, ...env },
    cwd: cwd ?? directory,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += String(chunk);
  });
  await once(child, "close");
  return out.split("\n").filter((line) => line !== "");
}

/** A relay that does not answer within 700 ms is not waited for: a busy machine is asked again. */
async function offeredInTime(words: readonly string[], line?: Line): Promise<readonly string[]> {
  for (;;) {
    const names = await offered(words, line);
    if (names.length > 0) return names;
  }
}

test.skipIf(!hasBash)("bash completes commands, options and their values", { timeout: 60_000 }, async () => {
  expect(await offered(["sta"])).toEqual(["status"]);
  expect(await offered(["lanes", "s"])).toEqual(["show", "set-cursor"]);
  expect(await offered(["lanes", "--m"])).toEqual(["--mode"]);
  expect(await offered(["lanes", "list", "--mode", "pa"])).toEqual(["paused"]);
  expect(await offered(["status", "--w"])).toEqual(["--watch"]);
  expect(await offered(["status", "--token", ""])).toEqual([]);
});

test.skipIf(!hasBash)(
  "bash completes files where a command takes one, also with spaces",
  { timeout: 60_000 },
  async () => {
    const cwd = temporary();
    mkdirSync(join(cwd, "my events"));
    expect(await offered(["config", "check", "my"], { cwd })).toEqual(["my events"]);
    expect(await offered(["rotate", "--key-file", "my"], { cwd })).toEqual(["my events"]);
  },
);

test.skipIf(!hasBash)(
  "bash completes destinations of the relay in reach, and nothing without one",
  {
    timeout: 60_000,
  },
  async () => {
    const { admin } = await startTestRelay();
    const env = { WAYBILL_ADMIN_URL: admin, WAYBILL_ADMIN_TOKEN: TOKEN };
    expect(await offeredInTime(["lanes", "show", ""], { env })).toEqual(["production/segment"]);
    expect(await offeredInTime(["dead-letters", "list", "prod"], { env })).toEqual(["production/segment"]);
    expect(await offered(["pause", "other"], { env })).toEqual([]);
    expect(await offeredInTime(["pause", "--admin", admin, "--token", TOKEN, ""])).toEqual(["production/segment"]);
    expect(await offered(["pause", ""], { env: { WAYBILL_ADMIN_URL: "http://127.0.0.1:9" } })).toEqual([]);
  },
);

test("only names that mean nothing to a shell are given to it, and faults are not printed", async () => {
  const destinations = ["good", "$(touch /tmp/owned)", "a b", "`id`"].map((destination) => ({ destination }));
  const server = createServer((_request, response) =>
    response.end(JSON.stringify([{ environment: "e", destinations }])),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await runHere(["completion", "destinations", "--admin", `http://127.0.0.1:${port}`])).toEqual({
    code: 0,
    out: "e/good\n",
    err: "",
  });
  server.close();
  expect(await runHere(["completion", "destinations", "--admin", "http://127.0.0.1:9"])).toEqual({
    code: 1,
    out: "",
    err: "",
  });
});

test.each(["bash", "zsh", "fish"])("the script for %s has every command with its options", async (shell) => {
  // What the tests above take from this process, the command prints too.
  const { code, out } = await (shell === "bash" ? run : runHere)(["completion", shell]);
  expect((await runHere(["completion", shell])).out).toBe(out);
  expect(code).toBe(0);
  for (const name of ["status", "lanes show", "dead-letters list", "replay start", "config check"])
    expect(out, name).toContain(`' ${name}'`.replaceAll("'", shell === "fish" ? "" : "'"));
  expect(out).toMatch(shell === "fish" ? /-l watch / : /--watch/);
  expect(out).not.toContain("completion destinations'");
  expect(await runHere(["completion", "--help"])).not.toMatchObject({
    out: expect.stringContaining("destinations [") as string,
  });
});
