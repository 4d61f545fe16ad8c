/** Paths of `redact` that match nothing: names joined by dots, from the top of an event as its source's vendor writes it. Lists are not entered, and nothing is a wildcard. */
import type { Vendor } from "@waybill/vendors/registry";

interface Doubt {
  /** Of the path in its list. */
  readonly index: number;
  readonly message: string;
  readonly hint: string;
}

/** Fields at the top of a vendor's events: those that hold others, and those that are one value. */
const FIELDS: Readonly<Record<Vendor, { readonly holding: string; readonly single: string }>> = {
  segment: {
    holding: "properties traits context integrations _metadata",
    single:
      "type event name category userId anonymousId groupId previousId messageId timestamp originalTimestamp sentAt receivedAt channel version",
  },
  letter: {
    holding: "traits properties",
    single: "type userId messageId timestamp event accountId email name timezone",
  },
  getfluxly: {
    holding: "properties traits context",
    single:
      "event user_id external_id anonymous_id previous_id message_id session_id timestamp occurred_at sent_at type library",
  },
  trophy: { holding: "user attributes", single: "value email name tz timeZone deviceTokens subscribeToEmails id" },
  valued: { holding: "user customer attributes", single: "category key occured_at occurred_at environment" },
  launchdarkly: {
    holding: "user context contextKeys data value default reason features os device configuration sdk platform id",
    single:
      "kind key userKey contextKind creationDate metricValue variation version prereqOf trackEvents debugEventsUntilDate startDate endDate samplingRatio indexSamplingRatio excludeFromSummaries previousKey previousKind url",
  },
  posthog: {
    holding: "properties $set $set_once",
    single: "event uuid distinct_id timestamp type library library_version send_feature_flags",
  },
};

/** Nobody names a field so; many write paths so elsewhere. */
const NOTATION = /^\$$|[*[\]/]|^\s|\s$/;

export function redactDoubts(paths: readonly string[], protocols: readonly Vendor[]): readonly Doubt[] {
  const doubts: Doubt[] = [];
  for (const [index, path] of paths.entries()) {
    const doubt = doubtOf(path, protocols) ?? repeatOf(index, paths);
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
  const forms = protocols.map((protocol) => FIELDS[protocol]);
  const isHeld = forms.some(({ holding }) => holding.split(" ").includes(first));
  if (isHeld) return undefined;
  const isSingle = forms.some(({ single }) => single.split(" ").includes(first));
  if (isSingle && second === undefined) return undefined;
  if (isSingle)
    return { message: `can match nothing: ${first} has no fields of its own`, hint: `${first} takes it out whole` };
  if (forms.length === 0) return undefined;
  const holding = [...new Set(forms.flatMap((form) => form.holding.split(" ")))].slice(0, HINTS_MAX);
  return {
    message: `matches no field that events of ${protocols.join(", ")} have at their top`,
    hint: `did you mean ${holding.map((name) => `${name}.${path}`).join(" or ")}?`,
  };
}

const HINTS_MAX = 3;

function repeatOf(index: number, paths: readonly string[]): Omit<Doubt, "index"> | undefined {
  const path = paths[index] ?? "";
  const whole = paths.find((other, at) => (at < index && other === path) || path.startsWith(`${other}.`));
  if (whole === undefined) return undefined;
  return { message: `has nothing left to match: ${whole} takes all of it out`, hint: "leave one of them away" };
}
