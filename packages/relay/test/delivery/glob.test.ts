import fc from "fast-check";
import { expect, test } from "vitest";
import { globMatcher, type Text } from "../../src/delivery/glob.ts";

/** By the definition, however long it takes. */
function matches(pattern: string, name: string): boolean {
  if (pattern === "") return name === "";
  if (pattern[0] !== "*") return pattern[0] === name[0] && name !== "" && matches(pattern.slice(1), name.slice(1));
  return matches(pattern.slice(1), name) || (name !== "" && matches(pattern, name.slice(1)));
}

test("it agrees with the definition", () => {
  const characters = fc.constantFrom("a", "b", "*", ".", "\n", "😀".charAt(0));
  fc.assert(
    fc.property(
      fc.array(characters, { maxLength: 9 }).map((all) => all.join("")),
      fc.array(characters, { maxLength: 12 }).map((all) => all.join("")),
      (pattern, name) => {
        expect(globMatcher(pattern)(name)).toBe(matches(pattern, name));
      },
    ),
    { numRuns: 5_000 },
  );
});

test.each([
  ["*Order*Completed*", "An Order was Completed today", true],
  ["Order *", "Order Completed", true],
  ["Order *", "Reorder Completed", false],
  ["* Failed", "Order Failed", true],
  ["aXa*aXa", "aXa", false],
  ["*", "", true],
  ["", "", true],
  ["", "x", false],
  ["a.c", "abc", false],
  ["a*b*c", "a\nb\nc", true],
])("%j and %j: %s", (pattern, name, expected) => {
  expect(globMatcher(pattern)(name)).toBe(expected);
});

/** How often a character of the name is looked at. */
function looks(pattern: string, name: string): number {
  let count = 0;
  const counted: Text = {
    length: name.length,
    charCodeAt(index) {
      count += 1;
      return name.charCodeAt(index);
    },
  };
  globMatcher(pattern)(counted);
  return count;
}

test.each([
  "*Order*Completed*",
  `${"*a".repeat(50)}*b`,
  `*${"a".repeat(200)}b*`,
  `*${"ab".repeat(100)}c*${"a".repeat(100)}*`,
  "a*a*a*a*a*a*b",
])("%s looks at each character of any name a few times, however long it is", (pattern) => {
  for (const unit of ["a", "ab", "Order", "Orde", "aab", "Completed"])
    for (const length of [1_000, 100_000]) {
      const name = unit.repeat(length / unit.length);
      expect(looks(pattern, name)).toBeLessThanOrEqual(2 * name.length + pattern.length);
    }
});
