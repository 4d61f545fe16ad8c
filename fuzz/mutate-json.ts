/**
 * Changes JSON where it means something: values of other types, members with names that objects
 * have already, parts doubled, moved, left out.
 */
import type { SeededRandom } from "@waybill/testing";

/**
 * JSON that no value of JavaScript is written as: numbers beyond its own, members named twice, what
 * is not JSON at all.
 */
class Raw {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Json = null | boolean | number | string | Raw | readonly Json[] | { readonly [name: string]: Json };
type Path = readonly (string | number)[];

const CHANGES_MAX = 4;
const DEEP = 300;
const LONG = 20_000;
const MANY = 2_000;

const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "toJSON", "length", "", "a.b", "$", "\u0000"];

/** Made when they are needed: some are long. */
const HOSTILE: readonly (() => Json)[] = [
  () => null,
  () => true,
  () => 0,
  () => -1,
  () => 0.1,
  () => 8.64e15 + 1,
  () => 2 ** 53,
  () => "",
  () => [],
  () => ({}),
  () => [null],
  () => [1],
  () => [[["a"]]],
  () => ({ toString: null }),
  () => ({ toString: null, valueOf: null }),
  () => ({ toJSON: null }),
  () => ({ length: -1 }),
  () => new Raw('{"then":1}'),
  () => new Raw('{"__proto__":null}'),
  () => new Raw('{"__proto__":{"toString":null}}'),
  () => new Raw('{"a":1,"a":{"a":2},"a":null}'),
  () => new Raw("-0"),
  () => new Raw("1e999"),
  () => new Raw("-1E-999"),
  () => new Raw("123456789012345678901234567890.5"),
  () => new Raw("NaN"),
  () => new Raw("-Infinity"),
  () => new Raw('"\\ud800"'),
  () => new Raw('"\\u0000\\u001b[31m"'),
  () => new Raw(" \n\t null"),
  () => new Raw("[".repeat(DEEP) + "]".repeat(DEEP)),
  () => new Raw('{"a":'.repeat(DEEP) + "1" + "}".repeat(DEEP)),
  () => new Raw(`[${"0,".repeat(MANY)}0]`),
  () => "x".repeat(LONG),
  () => "é".repeat(MANY),
  () => "a\r\nb: c",
  () => "a\nb",
  () => "\u0000",
  () => "\u2028💥\ufeff",
  () => "%00%zz/../..",
  () => "Aa ".repeat(MANY),
  () => "2026-13-45T99:99:99Z",
  () => "+275760-09-13T00:00:00.001Z",
  () => "2026-01-01T00:00:00.123456789+14:00",
  () => "1e9",
  () => "$identify",
];

/**
 * `texts` are JSON: one of them with a few changes, parts of the others among them. One that is not
 * JSON is taken for a text.
 */
export function mutateJson(random: SeededRandom, texts: readonly string[]): string {
  let value = parse(random.pick(texts));
  for (let left = 1 + random.below(CHANGES_MAX); left > 0; left--)
    value = changed(value, random.pick(pathsOf(value)), (old) => hostile(random, old, texts));
  return print(value);
}

/** Something in the place of `old`, often made of it. */
function hostile(random: SeededRandom, old: Json | undefined, texts: readonly string[]): Json {
  switch (random.below(8)) {
    case 0:
      return [old ?? null];
    case 1:
      return isObject(old) ? { ...old, [random.pick(NAMES)]: hostileValue(random) } : { value: old ?? null };
    case 2:
      return Array.isArray(old) && old.length > 0 ? [...(old as Json[]), ...(old as Json[])] : hostileValue(random);
    case 3: {
      const other = parse(random.pick(texts));
      return valueAt(other, random.pick(pathsOf(other)));
    }
    case 4:
      // Under a name that the object has as well: the last one counts in every parser.
      return isObject(old) ? new Raw(print(old).replace("{", `{"${random.pick(NAMES)}":1,`)) : hostileValue(random);
    default:
      return hostileValue(random);
  }
}

function hostileValue(random: SeededRandom): Json {
  return random.pick(HOSTILE)();
}

function print(value: Json): string {
  if (value instanceof Raw) return value.text;
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(print).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}:${print(member)}`)
    .join(",")}}`;
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return new Raw(text);
  }
}

function isObject(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Raw);
}

/** Of the value itself and everything in it. */
function pathsOf(value: Json, at: Path = []): readonly Path[] {
  const inner: readonly (readonly [string | number, Json])[] = Array.isArray(value)
    ? [...(value as readonly Json[]).entries()]
    : isObject(value)
      ? Object.entries(value)
      : [];
  return [at, ...inner.flatMap(([name, member]) => pathsOf(member, [...at, name]))];
}

function valueAt(value: Json, path: Path): Json {
  return path.reduce<Json>((at, name) => (at as Record<string | number, Json>)[name] as Json, value);
}

function changed(value: Json, [name, ...rest]: Path, change: (old: Json) => Json): Json {
  if (name === undefined) return change(value);
  if (Array.isArray(value))
    return (value as readonly Json[]).map((member, index) => (index === name ? changed(member, rest, change) : member));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, key === name ? changed(member, rest, change) : member]),
  );
}
