/** What the compiler refuses, and that an editor has something to say of each name. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Client, createClient, type Destination } from "waybill";

const relay = { url: "http://127.0.0.1:1", writeKey: "k" };

test("options that cannot work do not compile, and are faults at run time", () => {
  const destinations: readonly Destination[] = [];
  // @ts-expect-error neither a relay nor destinations
  expect(() => createClient({})).toThrow("give either destinations or relay");
  // @ts-expect-error both
  expect(() => createClient({ relay, destinations })).toThrow("give either destinations or relay");
  // @ts-expect-error a relay without a key
  expect(() => createClient({ relay: { url: "http://127.0.0.1:1" } })).toThrow("writeKey");
});

test("events that cannot be sent do not compile, and are reported at run time", async () => {
  const errors: string[] = [];
  const client: Client = createClient({ relay, onError: ({ message }) => errors.push(message) });
  // @ts-expect-error whose event?
  client.track({ event: "E" });
  // @ts-expect-error whose event?
  client.identify({ traits: { name: "Ada" } });
  // @ts-expect-error which event?
  client.track({ userId: "u" });
  // @ts-expect-error which group?
  client.group({ userId: "u" });
  // @ts-expect-error who before?
  client.alias({ userId: "u" });
  expect(errors).toEqual([
    "track(): userId and anonymousId are missing",
    "identify(): userId and anonymousId are missing",
    "track(): event is not a text, or empty",
    "group(): groupId is not a text, or empty",
    "alias(): previousId is not a text, or empty",
  ]);
  expect(await client.close({ deadlineMs: 0 })).toMatchObject({ left: 0, dropped: 5 });
});

/** The files with the names that an application writes or reads. */
const SOURCES = [
  "../src/options.ts",
  "../src/client.ts",
  "../src/captured.ts",
  "../src/destinations.ts",
  "../src/spool.ts",
  "../../vendors/src/canonical/events.ts",
  "../src/letter/types.ts",
  "../src/letter/destination.ts",
  "../src/getfluxly/types.ts",
  "../src/getfluxly/answers.ts",
  "../src/getfluxly/destination.ts",
  "../src/trophy/client.ts",
  "../src/trophy/destination.ts",
  "../src/valued/types.ts",
  "../src/valued/destination.ts",
  "../src/launchdarkly/types.ts",
];
/** Of an exported interface or type, up to the bracket in its first column. */
const DECLARED = /^export (?:interface|type) (\w+)(?!.*;$)[\s\S]*?^(?:\}|\s*\};)/gm;
const INTERNAL = [
  "Host",
  "ValuedHost",
  "VendorHost",
  "Context",
  "ResolvedOptions",
  "GivenOptions",
  "Shared",
  "CanonicalEvents",
];

test("an editor shows a sentence for each option, event field and trait", () => {
  const silent: string[] = [];
  let shown = 0;
  for (const source of SOURCES) {
    const text = readFileSync(new URL(source, import.meta.url), "utf8");
    for (const [declared, name = ""] of text.matchAll(DECLARED)) {
      if (INTERNAL.includes(name)) continue;
      const lines = declared.split("\n");
      for (const [index, line] of lines.entries()) {
        const member = /^ +(?:readonly )?(\w+)\??[:(]/.exec(line)?.[1];
        if (member === undefined || !/;$|\{$/.test(line)) continue;
        shown += 1;
        if (lines[index - 1]?.trimEnd().endsWith("*/") !== true) silent.push(`${name}.${member}`);
      }
    }
  }
  expect(silent).toEqual([]);
  expect(shown).toBeGreaterThan(90);
});
