/**
 * What a request of Amplitude's carries beside its events, and which endpoint they came by. Events
 * are batched with others of equal metadata only, so their bytes need no change.
 *
 * As text: `amplitude`, then for elements of the identify endpoints ` identify` or `
 * groupidentify`, or for events ` {"options":…,"skewMs":…}` with the absent members left out.
 */

export type AmplitudeKind = "events" | "identify" | "groupidentify";

export interface AmplitudeMetadata {
  readonly kind: AmplitudeKind;
  /** Raw JSON of an object, as the request had it: it may allow shorter ids. */
  readonly options?: string | undefined;
  /** How much later our clock was than the sender's, in whole seconds as milliseconds. */
  readonly skewMs?: number | undefined;
}

const NAME = "amplitude";
const SKEW_MEMBER = /(?:^\{|,)"skewMs":(-?\d{1,15})\}$/;
const OPTIONS_MARK = '{"options":';

export function encodeAmplitude({ kind, options, skewMs }: AmplitudeMetadata): string {
  if (kind !== "events") return `${NAME} ${kind}`;
  const members: string[] = [];
  if (options !== undefined) members.push(`"options":${options}`);
  if (skewMs !== undefined && skewMs !== 0) members.push(`"skewMs":${skewMs}`);
  return members.length === 0 ? NAME : `${NAME} {${members.join(",")}}`;
}

/** Total: what cannot be read has no options and no skew. */
export function decodeAmplitude(metadata: string): AmplitudeMetadata {
  const rest = metadata.slice(NAME.length + 1);
  if (rest === "identify" || rest === "groupidentify") return { kind: rest };
  const skew = SKEW_MEMBER.exec(rest);
  const options = rest.startsWith(OPTIONS_MARK) ? rest.slice(OPTIONS_MARK.length, skew?.index ?? -1) : undefined;
  return { kind: "events", options, skewMs: skew === null ? 0 : Number(skew[1]) };
}
