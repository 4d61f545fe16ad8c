/** Any event of any vendor, and any bytes: whose they are is what `JSON.parse` finds. */
import { adapterOf, orderHashesOf, orderKeyOf, VENDORS } from "@waybill/vendors/registry";
import fc from "fast-check";
import { expect, test } from "vitest";
import { orderByParsing, recordOf } from "./oracle.ts";

const RUNS = 400;
/** Metadata that say more than the vendor's name. */
const METADATA: Readonly<Record<string, readonly string[]>> = {
  segment: ["", '{"skewMs":5000}'],
  getfluxly: ["getfluxly", "getfluxly alias:k"],
  amplitude: ["amplitude", "amplitude identify", "amplitude groupidentify"],
  launchdarkly: ["launchdarkly server 4 ", "launchdarkly diagnostic server {}"],
};
/** What is equal to members of a prototype, and to the names of tables for others. */
const OTHER_NAMES = ["__proto__", "constructor", "other", "0", "properties", "userId"];
const NUMBERS = ["0", "-0", "1", "42", "1.0", "0.1", "1e3", "-7", "999999999999999", "12345678901234567890", "1e400"];
const SPACES = ["", "", " ", "\n\t", "\r\n  "];

const space = fc.constantFrom(...SPACES);
const anyText = fc.oneof(fc.string({ unit: "grapheme", maxLength: 20 }), fc.string({ unit: "binary", maxLength: 8 }));

/** Texts of JSON: one value may be written in many ways. */
type Written = fc.Arbitrary<string>;

/** In quotes, its characters as they are or as escapes. */
function quoted(text: fc.Arbitrary<string>): Written {
  return fc.tuple(text, fc.nat(3)).map(([one, dice]) => {
    if (dice > 0) return JSON.stringify(one);
    const units = Array.from({ length: one.length }, (_, at) => one.charCodeAt(at).toString(16).padStart(4, "0"));
    return `"${units.map((unit) => `\\u${unit}`).join("")}"`;
  });
}

function objectOf(member: fc.Arbitrary<readonly [name: string, value: string]>): Written {
  return fc
    .array(fc.tuple(space, member), { maxLength: 7 })
    .map((members) => `{${members.map(([gap, [name, value]]) => `${gap}${name}${gap}:${value}${gap}`).join(",")}}`);
}

function arrayOf(value: Written): Written {
  return fc.tuple(fc.array(value, { maxLength: 3 }), space).map(([all, gap]) => `[${gap}${all.join(`${gap},`)}]`);
}

function anyValue(names: readonly string[], id: Written): Written {
  return fc.letrec<{ value: string }>((self) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      id,
      quoted(anyText),
      fc.constantFrom("null", "{}", "[]"),
      objectOf(fc.tuple(quoted(fc.constantFrom(...names)), self("value"))),
      arrayOf(self("value")),
    ),
  })).value;
}

/** An object with what matters at these places, anything else, and both at once. */
function objectWith(places: readonly (readonly string[])[], leaf: (place: string) => Written, any: Written): Written {
  const inner = (path: string): Written => {
    const within = places.filter((place) => `${place.join(".")}.`.startsWith(path));
    const depth = path.split(".").length - 1;
    const names = [...new Set(within.map((place) => place[depth] as string))];
    const children = names.map((name) => {
      const isLeaf = within.some((place) => place.length === depth + 1 && place[depth] === name);
      const hasMore = within.some((place) => place.length > depth + 1 && place[depth] === name);
      const value = [...(isLeaf ? [leaf(path + name)] : []), ...(hasMore ? [inner(`${path}${name}.`)] : [])];
      return fc.tuple(quoted(fc.constant(name)), fc.oneof({ arbitrary: fc.oneof(...value), weight: 4 }, any));
    });
    const isArray = names.every((name) => /^\d+$/.test(name));
    const other = fc.tuple(quoted(fc.constantFrom(...OTHER_NAMES, ...names)), any);
    return isArray ? arrayOf(leaf(path)) : objectOf(fc.oneof(...children, other));
  };
  return inner("");
}

/** Values like the vendor's events: with the members that matter, there and elsewhere. */
function eventOf(vendor: string): Written {
  const { key = [], type, ties = [] } = adapterOf(vendor)?.order ?? {};
  const places = [...key, ...ties.flatMap((tie) => [...(tie.key ?? []), ...tie.other])];
  // What is first is another one for `JSON.parse`: numbers come before all other names.
  const written = [...new Set([...places, type ?? "type"])].filter((place) => !place.endsWith("*"));
  const paths = written.map((place) => place.split("."));
  const types = ties.flatMap((tie) => tie.types ?? []);
  const id = fc.oneof(
    quoted(fc.constantFrom("u", "v", "a", "", "$device:u", "$device:", ...types)),
    quoted(anyText),
    fc.constantFrom(...NUMBERS, "null", "true", "false"),
  );
  const any = anyValue([...new Set([...paths.flat(), ...OTHER_NAMES])], id);
  const typed = quoted(fc.constantFrom("e", ...types, ...types));
  const event = objectWith(paths, (place) => (place === type ? typed : id), any);
  return fc
    .tuple(space, fc.oneof({ arbitrary: event, weight: 9 }, any), space)
    .map(([before, text, after]) => before + text + after);
}

test.each(VENDORS)("%s: whose an event is, however it is written", (vendor) => {
  const metadata = fc.constantFrom(...(METADATA[vendor] ?? [vendor]));
  fc.assert(
    fc.property(fc.array(eventOf(vendor), { minLength: 1, maxLength: 4 }), metadata, (events, shared) => {
      const { hashes, ties } = orderHashesOf(recordOf(events, shared));
      const expected = events.map((event) => orderByParsing(event, shared));
      expect([...hashes].map((hash, index) => ({ hash, tie: ties?.[index] ?? 0 }))).toEqual(expected);
      expect(ties?.every((tie) => tie === 0)).not.toBe(true);
      for (const [index, event] of events.entries())
        expect(orderKeyOf(event, shared) === undefined).toBe(expected[index]?.hash === 0);
    }),
    { numRuns: RUNS },
  );
});

test.each(VENDORS)("%s: damaged bytes are nobody's, or whose they say", (vendor) => {
  const [metadata = vendor] = METADATA[vendor] ?? [];
  const damage = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'"{}[],:\\0nu \n'), fc.nat(2)), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(eventOf(vendor), { minLength: 1, maxLength: 4 }), damage, (events, changes) => {
      const { body, ends } = recordOf(
        events.map((event) => event.replaceAll(/[^ -~]/g, "?")),
        metadata,
      );
      const bytes = Buffer.from(body);
      for (const [at, character] of changes) bytes[at % bytes.length] = character.charCodeAt(0);
      const texts = Array.from(ends, (end, index) =>
        bytes.toString("utf8", index === 0 ? 0 : (ends[index - 1] as number) + 1, end),
      );
      const { hashes, ties } = orderHashesOf({ body: bytes, ends, metadata });
      expect([...hashes].map((hash, index) => ({ hash, tie: ties?.[index] ?? 0 }))).toEqual(
        texts.map((text) => orderByParsing(text, metadata)),
      );
    }),
    { numRuns: RUNS },
  );
});

test.each(VENDORS)("%s: no bytes and no lengths make it throw", (vendor) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.nat(250), { maxLength: 8 }),
      fc.string(),
      (body, ends, more) => {
        const { hashes } = orderHashesOf({ body, ends: Uint32Array.from(ends), metadata: `${vendor} ${more}` });
        expect(hashes).toHaveLength(ends.length);
      },
    ),
    { numRuns: RUNS },
  );
});
