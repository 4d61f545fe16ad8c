/**
 * What is wrong with a relay, and what to do about it: made of what it shows of itself, the worst
 * first. The page and `waybill status` show this list. Pure: the same facts make the same list.
 */
import type { TlsView } from "../tls/tls-end.ts";
import { clusterProblems } from "./cluster/cluster-problems.ts";
import { type LaneFacts, laneProblems } from "./lane-problems.ts";
import { bytesText, durationText, error, quote, requestsText, timeText, warning } from "./problem-texts.ts";
import type { Cluster, ComponentView, RelayProblem, ReplayView } from "./views.ts";

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

const DISK_LOW_SHARE = 0.1;
const DISK_FULL_SHARE = 0.03;
/** A disk so large that a tenth of it is plenty. */
const DISK_PLENTY_BYTES = 20 * 1024 ** 3;
/** Who renews by itself has done so by then, at a third of the lifetime as a rule. */
const EXPIRES_SOON_MS = 14 * 24 * 3_600_000;
const EXPIRES_SOON_SHARE = 1 / 6;

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
