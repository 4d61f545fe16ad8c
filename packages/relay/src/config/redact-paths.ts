/**
 * Paths of `redact` that match nothing: names joined by dots, from the top of an event as its
 * source's vendor writes it. Lists are not entered, and nothing is a wildcard.
 */
import type { Vendor } from "@waybill/vendors/registry";
import { vendorConfigOf } from "./vendor-configs.ts";

interface Doubt {
  /** Of the path in its list. */
  readonly index: number;
  readonly message: string;
  readonly hint: string;
}

/** Nobody names a field so; many write paths so elsewhere. */
const NOTATION = /^\$$|[*[\]/]|^\s|\s$/;

export function redactDoubts(paths: readonly string[], protocols: readonly Vendor[]): readonly Doubt[] {
  const doubts: Doubt[] = [];
  for (const [index, path] of paths.entries()) {
    const doubt = doubtOf(path, protocols) ?? duplicateOf(index, paths);
    if (doubt !== undefined) doubts.push({ index, ...doubt });
  }
  return doubts;
}

function doubtOf(path: string, protocols: readonly Vendor[]): Omit<Doubt, "index"> | undefined {
  const names = path.split(".");
  const [first = "", second] = names;
  if (names.some((name) => NOTATION.test(name)))
    return {
      message: "can match nothing: names are joined by dots, and there are no wildcards, lists or roots",
      hint: "for example properties.email",
    };
  const formats = protocols.map((protocol) => vendorConfigOf(protocol).fields);
  const isHeld = formats.some(({ holding }) => holding.includes(first));
  if (isHeld) return undefined;
  const isSingle = formats.some(({ single }) => single.includes(first));
  if (isSingle && second === undefined) return undefined;
  if (isSingle)
    return { message: `can match nothing: ${first} has no fields of its own`, hint: `${first} takes it out whole` };
  if (formats.length === 0) return undefined;
  const holding = [...new Set(formats.flatMap(({ holding }) => holding))].slice(0, HINTS_MAX);
  return {
    message: `matches no field that events of ${protocols.join(", ")} have at their top`,
    hint: `did you mean ${holding.map((name) => `${name}.${path}`).join(" or ")}?`,
  };
}

const HINTS_MAX = 3;

function duplicateOf(index: number, paths: readonly string[]): Omit<Doubt, "index"> | undefined {
  const path = paths[index] ?? "";
  const whole = paths.find((other, at) => (at < index && other === path) || path.startsWith(`${other}.`));
  if (whole === undefined) return undefined;
  return { message: `has nothing left to match: ${whole} takes all of it out`, hint: "leave one of them away" };
}
