/**
 * What zod finds wrong with a configuration, in sentences. A value whose schema is `writeOnly` is a
 * secret, or may carry one: it is never quoted.
 */
import { nearest } from "@waybill/core";
import type { z } from "zod";
import type { ConfigFault } from "./faults.ts";
import type { Path, Places } from "./places.ts";
import { memberOf, metaOf, schemaAt, shapeOf, type Variants } from "./schema-at.ts";

type Text = Pick<ConfigFault, "message" | "hint">;
type Issue = z.core.$ZodIssue;

interface Checked {
  readonly schema: z.core.$ZodType;
  /** What was checked. */
  readonly raw: unknown;
  readonly places: Places;
}

/** To find the place of each is work: who has so many begins with the first. */
const FAULTS_MAX = 100;

export function schemaFaults(issues: readonly Issue[], checked: Checked): ConfigFault[] {
  const faults = new Map<string, ConfigFault>();
  for (const issue of issues) {
    if (faults.size >= FAULTS_MAX) break;
    for (const fault of new IssueTexts(checked, pathOf(issue)).faultsOf(issue))
      faults.set(`${fault.path} ${fault.message}`, fault);
  }
  return [...faults.values()];
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/**
 * Names of environments, sources and destinations. Records of zod do not look into what has a wrong
 * name, and leave out `__proto__` silently.
 */
export function nameFaults(raw: unknown, places: Places): ConfigFault[] {
  const environments = memberOf(raw, "environments");
  const maps: (readonly [Path, unknown])[] = [[["environments"], environments]];
  for (const [name, environment] of Object.entries(mapOf(environments)))
    for (const kind of ["sources", "destinations"])
      maps.push([["environments", name, kind], memberOf(environment, kind)]);
  return maps
    .flatMap(([path, map]) =>
      Object.keys(mapOf(map))
        .filter((name) => !NAME.test(name))
        .map((name) => [...path, name]),
    )
    .slice(0, FAULTS_MAX)
    .map((path) => ({ ...places.of(path, { key: true }), ...INVALID_NAME }));
}

const INVALID_NAME = {
  message: "is not a valid name",
  hint: "a name has 1 to 63 lower-case letters, digits, - and _, and begins with a letter or digit",
};

/** Keys that are looked for in the wrong place. */
const MISPLACED: ReadonlyMap<string, string> = new Map([
  ["filter.sources", "sources is an option of the destination itself, beside filter: sources: [web]"],
]);

class IssueTexts {
  readonly #checked: Checked;
  readonly #path: Path;

  constructor(checked: Checked, path: Path) {
    this.#checked = checked;
    this.#path = path;
  }

  faultsOf(issue: Issue): ConfigFault[] {
    const { places } = this.#checked;
    if (issue.code === "unrecognized_keys") return issue.keys.slice(0, FAULTS_MAX).map((key) => this.#unknownKey(key));
    const nearer = issue.code === "invalid_union" ? this.#nearerIssues(issue) : [];
    if (nearer.length > 0) return schemaFaults(nearer, this.#checked);
    return [{ ...places.of(this.#path), ...this.#textOf(issue) }];
  }

  #textOf(issue: Issue): Text {
    if (this.#value() === undefined) return this.#required();
    switch (issue.code) {
      case "invalid_type":
        return this.#wrongType(issue.expected);
      case "too_small":
      case "too_big":
        return this.#outOfBounds(issue);
      case "invalid_value":
        return this.#choice(issue.values.map(String));
      case "invalid_union":
        return issue.discriminator === undefined
          ? { message: `${this.#is()}; it must be a text, or a map`, ...this.#example() }
          : this.#choice([...(this.#variants()?.shapes.keys() ?? [])]);
      case "invalid_format":
        return { message: `${this.#is()}; ${issue.message}`, ...this.#example() };
      case "custom": {
        const { hint, quotes } = (issue.params ?? {}) as { readonly hint?: string; readonly quotes?: boolean };
        const is = `is ${this.#checked.places.shown(this.#path, this.#value())}`;
        const message = quotes === true ? `${is}; ${issue.message}` : issue.message;
        return { message, ...(hint === undefined ? {} : { hint }) };
      }
      default:
        return { message: issue.message };
    }
  }

  #required(): Text {
    const { description } = this.#meta();
    return { message: "is required", ...(description === undefined ? {} : { hint: description }) };
  }

  #wrongType(expected: string): Text {
    const value = this.#value();
    const [name, hint] = EXPECTED.get(expected) ?? [expected];
    if (expected === "int" && typeof value === "number")
      return { message: `${this.#is()}; it must be ${name}`, ...this.#example() };
    const quoted = typeof value === "number" && hint !== undefined ? { hint } : this.#example();
    return { message: `is ${kindOf(value)}; it must be ${name}`, ...quoted };
  }

  #outOfBounds(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): Text {
    const isSmall = issue.code === "too_small";
    const bound = isSmall ? issue.minimum : issue.maximum;
    const side = isSmall ? "fewer" : "more";
    if (issue.origin === "string")
      return { message: isSmall && bound === 1 ? "is empty" : `has ${side} than ${bound} characters` };
    if (issue.origin === "array")
      return { message: isSmall && bound === 1 ? "is an empty list" : `has ${side} than ${bound} entries` };
    const inclusive = isSmall ? "at least" : "at most";
    const exclusive = isSmall ? "above" : "below";
    const limit = `${issue.inclusive === false ? exclusive : inclusive} ${bound}`;
    return { message: `${this.#is()}; it must be ${limit}`, ...this.#example() };
  }

  #choice(allowed: readonly string[]): Text {
    const value = this.#value();
    const near = typeof value === "string" ? nearest(value, allowed) : undefined;
    return {
      message: `${this.#is()}; it must be one of ${allowed.join(", ")}`,
      ...(near === undefined ? {} : { hint: `did you mean "${near}"?` }),
    };
  }

  #unknownKey(key: string): ConfigFault {
    const path = [...this.#path, key];
    const place = this.#checked.places.of(path, { key: true });
    const misplaced = MISPLACED.get(path.slice(-2).join("."));
    if (misplaced !== undefined) return { ...place, message: "unknown key", hint: misplaced };
    const found = this.#found(this.#path);
    const known = Object.keys((found === undefined ? undefined : shapeOf(found.schema)) ?? {});
    const others = found?.variants === undefined ? undefined : this.#ofOthers(key, found.variants);
    if (others !== undefined) return { ...place, ...others };
    const near = nearest(key, known);
    const hint = near === undefined ? `known keys: ${known.join(", ")}` : `did you mean "${near}"?`;
    return { ...place, message: "unknown key", hint };
  }

  /** What has an option that this one does not have. */
  #ofOthers(key: string, { discriminator, shapes }: Variants): Text | undefined {
    const own = String(this.#value([...this.#path, discriminator]));
    const having = [...shapes].filter(([, shape]) => Object.hasOwn(shape, key)).map(([name]) => name);
    if (having.length === 0) return undefined;
    const kind = discriminator === "vendor" ? "destinations" : "sources";
    return {
      message: `is not an option of ${kind} of ${own}`,
      hint: `${having.length === 1 ? "only" : ""} ${kind} of ${listOf(having)} have it`.trim(),
    };
  }

  /** Of alternatives the faults of the only one whose kind of value this is. */
  #nearerIssues(issue: z.core.$ZodIssueInvalidUnion): Issue[] {
    const fitting = issue.errors.filter(
      (errors) => !errors.some(({ code, path }) => code === "invalid_type" && path.length === 0),
    );
    const only = fitting.length === 1 ? (fitting[0] ?? []) : [];
    return only.map((inner) => ({ ...inner, path: [...this.#path, ...inner.path] }) as Issue);
  }

  /** `is "soon"` */
  #is(): string {
    const value = this.#value();
    const isSecret = this.#meta().writeOnly === true && typeof value === "string";
    return `is ${isSecret ? "a value that is not shown" : this.#checked.places.shown(this.#path, value)}`;
  }

  #example(): Pick<Text, "hint"> {
    const { examples } = this.#meta();
    const example: unknown = Array.isArray(examples) ? examples[0] : undefined;
    return example === undefined || example === null ? {} : { hint: `for example ${String(example as string)}` };
  }

  #meta(): z.core.GlobalMeta {
    const found = this.#found(this.#path);
    return found === undefined ? {} : metaOf(found.schema);
  }

  #variants(): Variants | undefined {
    return this.#found(this.#path.slice(0, -1))?.variants;
  }

  #found(path: Path): ReturnType<typeof schemaAt> {
    return schemaAt(this.#checked.schema, path, this.#checked.raw);
  }

  #value(path: Path = this.#path): unknown {
    return path.reduce(memberOf, this.#checked.raw);
  }
}

/** With what a number in place of a text is to be changed. */
const EXPECTED: ReadonlyMap<string, readonly [string, string?]> = new Map<string, readonly [string, string?]>([
  ["string", ["a text", "put it in quotes"]],
  ["number", ["a number"]],
  ["int", ["a whole number"]],
  ["boolean", ["true or false"]],
  ["array", ["a list"]],
  ["object", ["a map"]],
  ["record", ["a map"]],
]);

const KINDS_OF_VALUES: ReadonlyMap<string, string> = new Map([
  ["object", "a map"],
  ["string", "a text"],
  ["number", "a number"],
  ["boolean", "true or false"],
]);

function kindOf(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  return KINDS_OF_VALUES.get(typeof value) ?? "a value";
}

/** `a, b and c` */
function listOf(names: readonly string[]): string {
  const last = names.at(-1) ?? "";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} and ${last}`;
}

function mapOf(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}

function pathOf({ path }: Issue): Path {
  return path.map((part) => (typeof part === "number" ? part : String(part)));
}
