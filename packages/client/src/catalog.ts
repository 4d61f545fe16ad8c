/**
 * Typed events: which track events there are and what properties each has, as types alone or as
 * validators of the Standard Schema interface (standardschema.dev, version 1, read November 2026),
 * which zod, valibot and arktype implement.
 */
import { messageOf } from "@waybill/core";
import type { CommonFields, Properties, TrackEvent, UserIds } from "@waybill/vendors";

/** As much of a Standard Schema validator as is used here. */
export interface Validator<Input = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly validate: (value: unknown) => ValidatorResult | Promise<ValidatorResult>;
    readonly types?: { readonly input: Input; readonly output: unknown } | undefined;
  };
}

export interface ValidatorResult {
  readonly issues?: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] | undefined;
}

/** A validator of the properties, per name of a track event. */
export type Catalog = Readonly<Record<string, Validator>>;

/** The types of events that a catalogue of validators describes. */
export type EventsOf<C extends Catalog> = {
  readonly [Name in keyof C]: C[Name] extends Validator<infer Input> ? Input : never;
};

/** Any name, any properties. */
export type AnyEvents = Readonly<Record<string, Properties>>;

/** Whether nothing is required of properties: no member is, or none has a name. */
type NothingRequired<P> = string extends keyof P ? true : Partial<P> extends P ? true : false;

/** A track event of a catalogue: `properties` may be left out where none is required. */
export type TypedTrackEvent<Events extends object> = string extends keyof Events
  ? TrackEvent
  : {
      [Name in keyof Events & string]: CommonFields &
        UserIds & { readonly event: Name } & (NothingRequired<Events[Name]> extends true
          ? { readonly properties?: Events[Name] }
          : { readonly properties: Events[Name] });
    }[keyof Events & string];

/** What is wrong with a track event; `undefined` for nothing, and when nothing is to be checked. */
export function catalogFault(
  { catalog, validate }: { readonly catalog?: Catalog | undefined; readonly validate: "off" | "report" | "drop" },
  track: TrackEvent,
): string | undefined {
  // What is not an event is refused for that.
  if (catalog === undefined || validate === "off" || typeof track !== "object" || track === null) return undefined;
  const { event, properties } = track;
  if (!Object.hasOwn(catalog, event)) return `"${event}" is not in the catalog`;
  let result: ValidatorResult | Promise<ValidatorResult>;
  try {
    result = (catalog[event] as Validator)["~standard"].validate(properties ?? {});
    if ("then" in result) {
      result.then(undefined, () => undefined);
      return `the validator of "${event}" is asynchronous; only synchronous ones can be used at run time`;
    }
  } catch (error) {
    return `the validator of "${event}" threw: ${messageOf(error)}`;
  }
  const issue = result.issues?.[0];
  if (issue === undefined) return undefined;
  const path = (issue.path ?? []).map((part) => (part as { readonly key?: unknown } | null)?.key ?? part).join(".");
  return `"${event}"${path && ` at ${path}`}: ${issue.message}`;
}
