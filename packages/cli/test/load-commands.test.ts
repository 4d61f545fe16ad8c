import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { createProcessIo } from "../src/io.ts";
import { COMMANDS, loadCommands } from "../src/load-commands.ts";
import { runHere, start, temporary } from "./lib/command.ts";

/** What Node writes when `NODE_V8_COVERAGE` is set: each script that it has run. */
interface Coverage {
  readonly result: readonly { readonly url: string }[];
}

test.each(Object.keys(COMMANDS))("what is loaded for %s adds it, and nothing else", async (names) => {
  for (const name of names.split("|")) {
    const program = new Command();
    for (const add of await loadCommands(["node", "waybill", name])) add(program, createProcessIo(), () => undefined);
    expect(program.commands.map((command) => command.name())).toEqual(names.split("|"));
  }
});

test("the help has every command, in its order", async () => {
  const { out } = await runHere(["--help"]);
  const shown = [...out.matchAll(/^ {2}([a-z-]+) .*/gm)].map(([, name]) => name).filter((name) => name !== "waybill");
  expect(shown).toEqual([...Object.keys(COMMANDS).flatMap((names) => names.split("|")), "completion", "help"]);
});

const CONFIG = `
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [dev] } }
    destinations: { segment: { vendor: segment, writeKey: dev } }
`;

test("a start of the relay loads no other command, no emulator and no client", async () => {
  const directory = temporary();
  const config = join(directory, "waybill.yaml");
  writeFileSync(config, CONFIG);
  const relay = start(["relay", "--config", config], {
    WAYBILL_LISTEN: "127.0.0.1:0",
    WAYBILL_ADMIN_LISTEN: "127.0.0.1:0",
    WAYBILL_DATA_DIRECTORY: join(directory, "data"),
    NODE_V8_COVERAGE: join(directory, "coverage"),
  });
  await relay.says(/waybill relay .*: events on/);
  relay.process.kill("SIGTERM");
  expect((await relay.ended).code).toBe(0);
  const [file = ""] = readdirSync(join(directory, "coverage"));
  const { result } = JSON.parse(readFileSync(join(directory, "coverage", file), "utf8")) as Coverage;
  const loaded = result.map(({ url }) => url).filter((url) => url.startsWith("file:"));
  expect(loaded.filter((url) => url.includes("/cli/dist/commands/"))).toEqual([
    expect.stringContaining("/commands/relay.js"),
  ]);
  expect(loaded.filter((url) => /\/(?:testing|client)\/dist\/|cli-progress|log-update/.test(url))).toEqual([]);
});
