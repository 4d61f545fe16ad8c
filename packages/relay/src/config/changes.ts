/** What a configuration would change, without anything being opened or applied. */
import { changedSettings } from "./settings.ts";
import type { RelayConfig } from "./types.ts";

export interface ConfigChange {
  readonly kind: "added" | "removed" | "changed";
  readonly what: "setting" | "environment" | "source" | "destination";
  /** `production/segment`; the name of a setting as the file calls it. */
  readonly name: string;
  /** Then a reload refuses it. */
  readonly takesRestart: boolean;
}

type Named = { readonly name: string };

/** No value is in it: what has changed may be a key. */
export function changesBetween(before: RelayConfig, after: RelayConfig): readonly ConfigChange[] {
  const setting = (name: string, takesRestart: boolean): ConfigChange => {
    return { kind: "changed", what: "setting", name, takesRestart };
  };
  return [
    ...changedSettings(before, after, "restart").map((name) => setting(name, true)),
    ...changedSettings(before, after, "reload").map((name) => setting(name, false)),
    ...named("environment", "", [before.environments, after.environments]).filter(({ kind }) => kind !== "changed"),
    ...pairs(before.environments, after.environments).flatMap(([was, is]) => [
      ...named("source", `${is.name}/`, [was.sources, is.sources]),
      ...named("destination", `${is.name}/`, [was.destinations, is.destinations]),
    ]),
  ];
}

function named(
  what: ConfigChange["what"],
  prefix: string,
  [before, after]: readonly [readonly Named[], readonly Named[]],
): readonly ConfigChange[] {
  const change = (kind: ConfigChange["kind"], { name }: Named): ConfigChange => {
    return { kind, what, name: `${prefix}${name}`, takesRestart: false };
  };
  return [
    ...without(after, before).map((one) => change("added", one)),
    ...without(before, after).map((one) => change("removed", one)),
    ...pairs(before, after)
      .filter(([was, is]) => JSON.stringify(was) !== JSON.stringify(is))
      .map(([, is]) => change("changed", is)),
  ];
}

/** Those whose names are not among the others'. */
function without<T extends Named>(all: readonly T[], others: readonly Named[]): readonly T[] {
  const names = new Set(others.map(({ name }) => name));
  return all.filter(({ name }) => !names.has(name));
}

/** Those of the same name. */
function pairs<T extends Named>(before: readonly T[], after: readonly T[]): readonly (readonly [T, T])[] {
  const known = new Map(before.map((one) => [one.name, one]));
  return after.flatMap((is) => {
    const was = known.get(is.name);
    return was === undefined ? [] : [[was, is] as const];
  });
}
