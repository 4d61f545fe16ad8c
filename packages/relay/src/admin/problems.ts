/**
 * What is wrong with a relay, and what to do about it: made of what it shows of itself, the worst
 * first. The page and `waybill status` show this list. Pure: the same facts make the same list.
 */
import type { TlsView } from "../tls/tls-end.ts";
import { clusterProblems } from "./cluster/cluster-problems.ts";
import type { LaneTroubles } from "./live/lane-track.ts";
import type { Cluster, ComponentView, LaneMode, RelayProblem, ReplayView } from "./views.ts";

/** All times are epoch ms. */
export interface RelayFacts {
  readonly now: number;
  readonly isStopping: boolean;
  readonly components: readonly ComponentView[];
  readonly lanes: readonly LaneFacts[];
  readonly sources: readonly SourceFacts[];
  /** Requests whose source is not known. */
  readonly unknownSource: Lately;
  readonly replays: readonly ReplayView[];
  readonly reload: { readonly at: number; readonly ok: boolean; readonly messages: readonly string[] } | undefined;
  /** Where the log is. */
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number } | undefined;
  /** Of the ports that speak TLS. */
  readonly certificates?: readonly CertificateFacts[];
  /** Absent on the disk. */
  readonly cluster?: Cluster | undefined;
}

export type CertificateFacts = Pick<TlsView, "port" | "validFrom" | "validTo" | "broken">;

export interface LaneFacts {
  readonly environment: string;
  readonly destination: string;
  readonly mode: LaneMode;
  readonly reason: string | undefined;
  readonly lastError: string | undefined;
  readonly waitingEvents: number;
  readonly oldestAt: number | null;
  readonly lossAt: number | null;
  readonly deadLetters: number;
  readonly parkedEvents: number;
  readonly balanced: boolean;
  readonly troubles: LaneTroubles;
}

export interface SourceFacts {
  readonly environment: string;
  readonly source: string;
  readonly refusedKeys: Lately;
  readonly refusedForMemory: Lately;
}

export interface Lately {
  readonly count: number;
  readonly since: number | null;
}

/** A request that fails now and then is nobody's business; a minute of nothing but failures is. */
const OUTAGE_MS = 60_000;
/** Longer than any linger or backoff of a lane that works. */
const STALLED_MS = 120_000;
/** A limit that is met is a limit that works; a backlog of this age is a problem. */
const LIMITED_MS = 300_000;
/** A pause for work on a destination is over by then. */
const PAUSED_MS = 900_000;
const LOSS_SOON_MS = 24 * 3_600_000;
/** Loss within this time is an error. */
const LOSS_NOW_MS = 3_600_000;
const DISK_LOW_SHARE = 0.1;
const DISK_FULL_SHARE = 0.03;
/** A disk so large that a tenth of it is plenty. */
const DISK_PLENTY_BYTES = 20 * 1024 ** 3;
/** Who renews by itself has done so by then, at a third of the lifetime as a rule. */
const EXPIRES_SOON_MS = 14 * 24 * 3_600_000;
const EXPIRES_SOON_SHARE = 1 / 6;
/** An older time is ambiguous without its date. */
const DATE_NEEDED_MS = 20 * 3_600_000;
/** Reasons and errors are quoted up to here. */
const QUOTED_CHARACTERS = 300;

type Rest = Omit<RelayProblem, "severity" | "code" | "what" | "doThis" | "since"> & { readonly since?: number | null };

/** The worst first. */
export function problemsOf(facts: RelayFacts): readonly RelayProblem[] {
  const problems = [
    ...storageProblems(facts),
    ...facts.lanes.flatMap((lane) => laneProblems(lane, facts.now)),
    ...facts.sources.flatMap((source) => sourceProblems(source)),
    ...unknownKeys(facts.unknownSource),
    ...facts.replays.flatMap(replayProblems),
    ...reloadProblems(facts),
    ...certificateProblems(facts),
    ...(facts.cluster === undefined ? [] : clusterProblems(facts.cluster)),
  ];
  return problems.toSorted(byUrgency(facts.now));
}

/** The worst first: errors before warnings, then what is older. */
export function byUrgency(now: number): (one: RelayProblem, other: RelayProblem) => number {
  return (one, other) => rankOf(one) - rankOf(other) || (one.since ?? now) - (other.since ?? now);
}

/** What stops everything comes before what stops one destination. */
const FIRST: readonly string[] = ["storage_not_ready", "disk_full", "events_lost", "loss_soon", "lane_failed"];

function rankOf({ severity, code }: RelayProblem): number {
  const at = FIRST.indexOf(code);
  return (severity === "error" ? 0 : FIRST.length + 1) + (at === -1 ? FIRST.length : at);
}

function error(code: string, what: string, doThis: string, { since = null, ...rest }: Rest): RelayProblem {
  return { severity: "error", code, ...rest, since, what, doThis };
}

function warning(code: string, what: string, doThis: string, { since = null, ...rest }: Rest): RelayProblem {
  return { severity: "warning", code, ...rest, since, what, doThis };
}

function storageProblems({ components, disk, isStopping, cluster }: RelayFacts): readonly RelayProblem[] {
  const cause =
    cluster === undefined ? "the disk: space, permissions, hardware" : "the brokers, and the settings of the topic";
  const found = components
    .filter(({ ready }) => !ready)
    .map(({ name, reason = "it does not say why" }) =>
      error(
        "storage_not_ready",
        `The ${name} cannot store events: ${quote(reason)}.`,
        `New events are refused with 503, and clients send them again. See to ${cause}.`,
        { environment: name.replace(/^log /, "") },
      ),
    );
  if (isStopping)
    found.push(
      warning("stopping", "The relay is stopping: soon it takes no events.", "Nothing, if that is wanted.", {}),
    );
  if (disk === undefined || disk.totalBytes === 0) return found;
  const share = disk.freeBytes / disk.totalBytes;
  if (share >= DISK_LOW_SHARE || disk.freeBytes >= DISK_PLENTY_BYTES) return found;
  const what = `The disk of the data directory has ${bytesText(disk.freeBytes)} of ${bytesText(disk.totalBytes)} left.`;
  const doThis = "Make room on it, or lower retention.maxBytes and retention.hardMaxBytes.";
  found.push((share < DISK_FULL_SHARE ? error : warning)("disk_full", what, doThis, {}));
  return found;
}

function laneProblems(lane: LaneFacts, now: number): readonly RelayProblem[] {
  const found: RelayProblem[] = [];
  const stopped = stoppedProblem(lane, now);
  if (stopped !== undefined) found.push(stopped);
  found.push(...lossProblems(lane, now), ...deadLetterProblems(lane));
  if (!lane.balanced)
    found.push(
      error(
        "ledger_unbalanced",
        `The ledger of ${lane.destination} does not balance.`,
        "That is a defect of Waybill: please report it with the log of the relay.",
        placeOf(lane),
      ),
    );
  return found;
}

/** Why nothing, or too little, is delivered: the one reason that matters most. */
function stoppedProblem(lane: LaneFacts, now: number): RelayProblem | undefined {
  const { destination, mode, reason = "", waitingEvents, troubles } = lane;
  const kept = keptText(waitingEvents);
  const since = troubles.modeSince;
  const place = { ...placeOf(lane), since };
  const sinceText = since === null ? "" : ` since ${timeText(since, now)}`;
  if (mode === "failed")
    return error(
      "lane_failed",
      `A defect has stopped ${destination}${sinceText}: ${quote(reason)}; ${kept}.`,
      "Resume it to try again, and please report the defect with the log of the relay.",
      place,
    );
  if (mode === "halted") return haltedProblem(lane, { kept, sinceText, place });
  if (mode === "paused") {
    if (since === null || now - since < PAUSED_MS) return undefined;
    return warning(
      "lane_paused",
      `${destination} is paused${sinceText}; ${kept}.`,
      "Resume it when the work on it is done.",
      place,
    );
  }
  return troubledProblem(lane, now);
}

interface Halt {
  readonly kept: string;
  readonly sinceText: string;
  readonly place: Rest;
}

function haltedProblem(lane: LaneFacts, { kept, sinceText, place }: Halt): RelayProblem {
  const { destination, reason = "" } = lane;
  const status = /^(?:HTTP )?(\d{3})\b/.exec(reason)?.[1];
  if (status === "401" || status === "403")
    return error(
      status === "401" ? "key_refused" : "forbidden",
      `${destination} refuses the key${sinceText} (${quote(reason)}); ${kept}.`,
      "Rotate the key: `waybill rotate`, the page, or the configuration and a reload. Then it goes on by itself.",
      place,
    );
  return error(
    "lane_halted",
    `${destination} takes nothing${sinceText} (${quote(reason)}); ${kept}.`,
    "Correct its address, key or proxy in the configuration and reload, then try it with a probe.",
    place,
  );
}

function troubledProblem(lane: LaneFacts, now: number): RelayProblem | undefined {
  const { destination, waitingEvents, lastError = "", oldestAt, troubles } = lane;
  const { failingSince, limitedSince, stalledSince } = troubles;
  const kept = keptText(waitingEvents);
  const isLimited = limitedSince !== null && now - limitedSince >= LIMITED_MS;
  if (isLimited && oldestAt !== null && now - oldestAt >= LIMITED_MS)
    return warning(
      "rate_limited",
      `${destination} limits how much it takes since ${timeText(limitedSince, now)}; ${kept}, the oldest for ${durationText(now - oldestAt)}.`,
      "Raise the limit at the vendor, or send it less: filter, sampleRate.",
      { ...placeOf(lane), since: limitedSince },
    );
  if (limitedSince === null && failingSince !== null && now - failingSince >= OUTAGE_MS)
    return error(
      "destination_failing",
      `${destination} has taken nothing since ${timeText(failingSince, now)} (${quote(lastError)}); ${kept}.`,
      "Look at the vendor's status page. The relay tries again by itself; a probe tries at once.",
      { ...placeOf(lane), since: failingSince },
    );
  if (stalledSince !== null && now - stalledSince >= STALLED_MS)
    return error(
      "lane_stalled",
      `${destination} has made no progress since ${timeText(stalledSince, now)}, though nothing fails; ${kept}.`,
      "Pause and resume it. If that does not help, restart the relay, and please report it.",
      { ...placeOf(lane), since: stalledSince },
    );
  return undefined;
}

function lossProblems(lane: LaneFacts, now: number): readonly RelayProblem[] {
  const { destination, lossAt, troubles, waitingEvents } = lane;
  const found: RelayProblem[] = [];
  if (troubles.expired > 0)
    found.push(
      error(
        "events_lost",
        `Retention took ${eventsText(troubles.expired)} from ${destination} within the last hour before they were delivered.`,
        "Raise retention.hardMaxBytes if the disk has room, and see to what holds the destination up.",
        { ...placeOf(lane), since: troubles.expiredSince },
      ),
    );
  if (lossAt !== null && lossAt - now < LOSS_SOON_MS) {
    const what = `In ${durationText(Math.max(0, lossAt - now))} retention begins to take events that wait for ${destination}: ${eventsText(waitingEvents)} wait.`;
    const doThis = "See to what holds the destination up, or raise retention.hardMaxBytes if the disk has room.";
    found.push((lossAt - now < LOSS_NOW_MS ? error : warning)("loss_soon", what, doThis, placeOf(lane)));
  }
  return found;
}

function deadLetterProblems(lane: LaneFacts): readonly RelayProblem[] {
  const { destination, deadLetters, parkedEvents, troubles } = lane;
  const found: RelayProblem[] = [];
  if (deadLetters > 0)
    found.push(
      warning(
        "dead_letters",
        deadLettersText(destination, deadLetters),
        "Look at their reasons, correct the cause, and retry or discard them.",
        placeOf(lane),
      ),
    );
  // While nothing at all is delivered it is the destination that fails.
  if (parkedEvents > 0 && troubles.failingSince === null)
    found.push(
      warning(
        "events_parked",
        `${eventsText(parkedEvents)} of some users wait for ${destination}, because one of each user fails while others are delivered.`,
        "It is tried again by itself, and becomes a dead letter after retry.giveUpAfter. Its error tells why.",
        placeOf(lane),
      ),
    );
  return found;
}

export function deadLettersText(destination: string, deadLetters: number): string {
  return `${destination} has refused ${eventsText(deadLetters)} for good: they wait as dead letters.`;
}

function sourceProblems({ environment, source, refusedKeys, refusedForMemory }: SourceFacts): readonly RelayProblem[] {
  const found: RelayProblem[] = [];
  const place = { environment, source };
  if (refusedKeys.count > 0)
    found.push(
      warning(
        "key_unknown",
        `${source} refused ${requestsText(refusedKeys.count)} for their key within the last ten minutes.`,
        "A client has an old or a wrong key. Correct it there, or add the key to the source.",
        { ...place, since: refusedKeys.since },
      ),
    );
  if (refusedForMemory.count > 0)
    found.push(
      error(
        "memory_full",
        `${source} refused ${requestsText(refusedForMemory.count)} within the last ten minutes: too much is in memory or on its way to the disk.`,
        "Clients send them again. See whether the disk is slow, or spread the load over more relays.",
        { ...place, since: refusedForMemory.since },
      ),
    );
  return found;
}

function unknownKeys({ count, since }: Lately): readonly RelayProblem[] {
  if (count === 0) return [];
  return [
    warning(
      "key_unknown",
      `${requestsText(count)} had a key that no source knows within the last ten minutes.`,
      "A client has an old or a wrong key. Correct it there, or add the key to its source.",
      { since },
    ),
  ];
}

function replayProblems({ environment, destination, id, state, reason = "" }: ReplayView): readonly RelayProblem[] {
  if (state !== "failed" && state !== "halted") return [];
  return [
    error(
      "replay_failed",
      `The replay ${id} to ${destination} has ${state === "failed" ? "failed" : "halted"}: ${quote(reason)}.`,
      "Cancel it, correct the cause, and start it again.",
      { environment, destination },
    ),
  ];
}

function reloadProblems({ reload, now }: RelayFacts): readonly RelayProblem[] {
  if (reload === undefined || reload.ok) return [];
  const more = reload.messages.length > 1 ? ` and ${reload.messages.length - 1} more` : "";
  return [
    warning(
      "reload_failed",
      `The configuration was not taken over at ${timeText(reload.at, now)}: ${quote(reload.messages[0] ?? "")}${more}.`,
      "The relay goes on with the one before. Correct the file, check it, and reload.",
      { since: reload.at },
    ),
  ];
}

function certificateProblems({ certificates = [], now }: RelayFacts): readonly RelayProblem[] {
  return certificates.flatMap(({ port, validFrom, validTo, broken }) => {
    const found: RelayProblem[] = [];
    if (broken !== undefined)
      found.push(
        warning(
          "certificate_unusable",
          `The new certificate of the ${port} port cannot be used since ${timeText(broken.since, now)} (${quote(broken.reason)}).`,
          "Connections get the one before. Correct the files: they are looked at every ten seconds.",
          { since: broken.since },
        ),
      );
    const doThis = "Renew it, and write it to its files: they are looked at every ten seconds.";
    if (validTo <= now)
      found.push(
        error("certificate_expired", `The certificate of the ${port} port has expired.`, doThis, { since: validTo }),
      );
    else if (validTo - now < Math.min(EXPIRES_SOON_MS, (validTo - validFrom) * EXPIRES_SOON_SHARE)) {
      const what = `The certificate of the ${port} port expires in ${durationText(validTo - now)}.`;
      found.push(warning("certificate_expires", what, doThis, {}));
    }
    return found;
  });
}

function placeOf({ environment, destination }: LaneFacts): {
  readonly environment: string;
  readonly destination: string;
} {
  return { environment, destination };
}

function keptText(events: number): string {
  return events === 0 ? "no events wait" : `${eventsText(events)} ${events === 1 ? "is" : "are"} kept`;
}

function eventsText(events: number): string {
  return `${numberText(events)} ${events === 1 ? "event" : "events"}`;
}

function requestsText(requests: number): string {
  return `${numberText(requests)} ${requests === 1 ? "request" : "requests"}`;
}

function numberText(number: number): string {
  return number.toLocaleString("en-US");
}

/** "14:02 UTC", with its date when that may be another day. */
function timeText(atMs: number, now: number): string {
  const [date = "", time = ""] = new Date(atMs).toISOString().split("T");
  const text = `${time.slice(0, "00:00".length)} UTC`;
  return now - atMs < DATE_NEEDED_MS ? text : `${text} on ${date}`;
}

const UNITS: readonly (readonly [ms: number, name: string])[] = [
  [24 * 3_600_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
];

function durationText(durationMs: number): string {
  const [ms, name] = UNITS.find(([unit]) => durationMs >= unit) ?? [1_000, "second"];
  const count = Math.floor(durationMs / ms);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
const BYTE_STEP = 1_024;

function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= BYTE_STEP && unit < BYTE_UNITS.length - 1; unit++) value /= BYTE_STEP;
  return `${Number(value.toPrecision(3))} ${BYTE_UNITS[unit]}`;
}

function quote(text: string): string {
  const short = text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text;
  return short.replace(/[.;\s]+$/, "") || "no reason is known";
}
