/** A configuration is taken, or refused with faults. */
import assert from "node:assert";
import { ConfigError, loadConfig } from "@waybill/relay/headless";
import { mutate } from "../mutate.ts";
import { mutateJson } from "../mutate-json.ts";
import type { Target } from "../target.ts";

const DICTIONARY = [
  "- ",
  ": ",
  "{",
  "}",
  "[",
  "]",
  "&a ",
  "*a",
  "<<: *a",
  "!!binary ",
  "!!js/function ",
  "|\n",
  ">\n",
  "? ",
  "${",
  "$${",
  "${__proto__}",
  "\n  ",
  "\t",
  "'",
  '"',
  "---\n",
  "10MiB",
  "5s",
  "null",
  "~",
  "1e9",
  "0x10",
  "#",
  "environments:",
  "writeKeys:",
  "__proto__:",
];

export const config: Target = {
  dictionary: DICTIONARY,
  make(random, seeds) {
    // JSON is YAML too.
    const json = seeds.map(String).filter((text) => text.startsWith("{"));
    return random.chance(0.5) ? mutate(random, seeds, DICTIONARY) : Buffer.from(mutateJson(random, json));
  },
  open() {
    load("environments: {}");
    return { run: (input) => load(input.toString()) };
  },
};

function load(text: string): void {
  try {
    loadConfig({ file: "fuzz", text, env: { KEY: "k" } });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.ok(error.faults.length > 0, "a refusal has faults");
  }
}
