/**
 * Flag data for summaries: from files of any content, and by LaunchDarkly's SDK, which makes
 * requests of its own.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emulators, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { resolveEnvironment } from "../../src/config/load.ts";
import { createFlagSource } from "../../src/launchdarkly/flags.ts";
import type { LaunchDarklyDestination } from "../../src/launchdarkly/options.ts";
import { until } from "../lib/world.ts";

function configWith(more: object): LaunchDarklyDestination {
  const { destinations } = resolveEnvironment("e", {
    sources: {},
    destinations: { flags: { vendor: "launchdarkly", writeKey: "sdk-key", ...more } },
  });
  return destinations[0] as LaunchDarklyDestination;
}

test("the vendor's own SDK keeps to public addresses as the relay does", async () => {
  const emulator = new emulators.LaunchDarklyEmulator({
    flags: { known: { key: "known", version: 1, variations: ["a"] } } as never,
  });
  let requests = 0;
  const server = await startServer((request) => {
    requests += 1;
    return emulator.handle(request);
  });
  onTestFinished(() => server.close());
  const config = configWith({ flagsFromVendor: true, flagsUrl: server.url });
  const guarded = createFlagSource(config, { publicOnly: true });
  const free = createFlagSource(config, {});
  onTestFinished(() => {
    guarded.close();
    free.close();
  });
  await until(() => free.flag("known") !== undefined);
  const asked = requests;
  expect(asked).toBeGreaterThan(0);
  // As long again: the guarded one has asked for nothing.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(guarded.flag("known")).toBeUndefined();
  expect(requests).toBe(asked);
  for (const name of ["constructor", "__proto__", "toString"]) expect(free.flag(name)).toBeUndefined();
});

test.each([
  ["no JSON", "secret: text of another file", "is not {"],
  ["null", "null", "is not {"],
  ["a list", "[]", "is not {"],
  ["flags that are a list", '{"flags":[]}', "is not {"],
  ["a flag that is a text", '{"flags":{"a":"secret"}}', "is not {"],
])("a file of flags that holds %s is refused, and not quoted", (_name, text, expected) => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-flags-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const flagsFile = join(directory, "flags.json");
  writeFileSync(flagsFile, text);
  const open = (): unknown => createFlagSource(configWith({ flagsFile }), {});
  expect(open).toThrow(expected);
  expect(open).not.toThrow("secret");
  writeFileSync(flagsFile, '{"flags":{"__proto__":{"variations":[1]},"a":{"variations":[2]}}}');
  const flags = createFlagSource(configWith({ flagsFile }), {});
  expect([flags.flag("a"), flags.flag("toString")]).toEqual([{ variations: [2] }, undefined]);
});

test("a pipe, and what is larger than flags are, is refused before it is read", () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-flags-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const open = (flagsFile: string) => (): unknown => createFlagSource(configWith({ flagsFile }), {});
  const pipe = join(directory, "pipe");
  execFileSync("mkfifo", [pipe]);
  expect(open(pipe)).toThrow(`flagsFile ${pipe} is not a file`);
  const large = join(directory, "large.json");
  writeFileSync(large, "{}");
  truncateSync(large, 64 * 1024 * 1024 + 1);
  expect(open(large)).toThrow("is larger than 67108864 bytes");
  expect(open(join(directory, "none.json"))).toThrow("cannot be read: ENOENT");
});
