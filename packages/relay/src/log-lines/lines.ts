/**
 * Every line that the relay logs: the one place for its level, its text, and what a person does
 * about it. `docs/operating/logs.md` is made from it; a line's `code` is what to alert on, and is
 * not changed.
 *
 * `error`: events wait or are refused until somebody acts. `warn`: look at it. `info`: it happened.
 */
import { CLUSTER_LINES } from "./cluster-lines.ts";
import { LANE, type Line, type LineCode, type LineFields } from "./line-fields.ts";

const SOURCE = ["environment", "source"] as const;
const COUNTED = ["count", "seconds"] as const;
const SEE_LANE = "`waybill lanes`, the page or the admin API have the vendor's own answer.";

export const LOG_LINES: { readonly [Code in LineCode]: Line<LineFields[Code]> } = {
  started: {
    level: "info",
    text: "waybill relay, its addresses, log and lanes",
    act: "",
    fields: ["intake", "admin", "data"],
  },
  stopping: {
    level: "info",
    text: "stopping: attempts in flight are finished, then no more requests are taken",
    act: "",
    fields: ["deadlineMs"],
  },
  stopped: { level: "info", text: "stopped", act: "", fields: [] },
  data_directory_readable: {
    level: "warn",
    text: "others on this machine may look into the data directory",
    act: "`chmod -R go-rwx` of it closes it; permissions.directories says what is wanted.",
    fields: ["dataDirectory", "mode", "wanted"],
  },
  version_changed: {
    level: "info",
    text: "another version than before uses the data directory",
    act: "",
    fields: ["before", "now"],
  },
  version_not_noted: {
    level: "warn",
    text: "the version that uses the data directory could not be noted in it",
    act: "Look at the disk; the next start tries again.",
    fields: ["error"],
  },
  certificate_replaced: {
    level: "info",
    text: "new connections get another certificate",
    act: "",
    fields: ["port", "validTo", "fingerprint"],
  },
  certificate_unusable: {
    level: "error",
    text: "the certificate's files cannot be used; the one before is shown on",
    act: "Correct what the reason names before validTo; the files are read again by themselves.",
    fields: ["port", "reason", "validTo"],
  },

  log_recovered: {
    level: "warn",
    text: "log recovered: a torn tail was cut, a damaged record skipped, or a file that is not a segment set aside",
    act: "Cut bytes alone are normal after a kill: they were never acknowledged. Damaged records are a sign of a failing disk: run `waybill log verify`, and look at the disk.",
    fields: ["environment", "cutBytes", "damagedRecords", "damagedBytes", "lostEvents", "setAsideFiles"],
  },
  directory_set_aside: {
    level: "warn",
    text: "something that is not a directory was in the place of one; it was set aside",
    act: "Find out who put it there; remove what was set aside.",
    fields: ["directory", "aside"],
  },
  lane_state_lost: {
    level: "warn",
    text: "a lane's state cannot be read or is gone: it begins again, and sends again what it had delivered",
    act: "Expect duplicates at a vendor that does not know events by their ids. Look at the disk.",
    fields: LANE,
  },
  lane_orphaned: {
    level: "warn",
    text: "events wait for a destination that is not configured (any more)",
    act: "Configure it again to have them delivered, or remove its name from lanes, dead, fates and attempts in the directory.",
    fields: [...LANE, "events", "directory"],
  },
  disk_log_left: {
    level: "warn",
    text: "the directory has a log of engine: disk with events that wait for a destination: a relay on Kafka does not deliver them",
    act: "Stop all relays before they take events, and run waybill log copy --to kafka. Once events were taken: let a relay with engine: disk and ports of its own run on that directory until nothing waits there.",
    fields: [...LANE, "events", "directory"],
  },
  disk_log_unread: {
    level: "warn",
    text: "the directory has a log of engine: disk that cannot be read: whether events wait there is not known",
    act: "Look at the disk; waybill log verify shows what is wrong with a log.",
    fields: ["environment", "directory", "error"],
  },
  ...CLUSTER_LINES,
  replay_state_lost: {
    level: "warn",
    text: "the state of a replay cannot be read: it is over",
    act: "Begin it again from where it was.",
    fields: ["environment", "replay"],
  },

  lane_halted: {
    level: "error",
    text: "destination refuses the credential; its events are kept",
    act: `Correct its key or URL and reload, or rotate its key. ${SEE_LANE}`,
    fields: [...LANE, "reason", ...COUNTED],
  },
  lane_unreachable: {
    level: "error",
    text: "no request reaches the destination until somebody acts; its events are kept",
    act: `The reason names the setting or the proxy; correct it and reload. ${SEE_LANE}`,
    fields: [...LANE, "reason", ...COUNTED],
  },
  lane_failed: {
    level: "error",
    text: "a defect stopped the lane; its events are kept until it is resumed",
    act: "Report the defect (the page has its text), then `waybill resume` tries again.",
    fields: [...LANE, "reason"],
  },
  lane_waiting: {
    level: "warn",
    text: "destination waits before its next attempt",
    act: `Nothing while it is short: it is tried again by itself. ${SEE_LANE}`,
    fields: [...LANE, "reason", ...COUNTED],
  },
  lane_answers: {
    level: "info",
    text: "the destination takes events again",
    act: "",
    fields: [...LANE, "waitedMs"],
  },
  lane_paused: {
    level: "warn",
    text: "the lane is paused; its events are kept",
    act: "`waybill resume` when the reason for the pause is over: retention takes what waits too long.",
    fields: [...LANE, "by"],
  },
  lane_resumed: {
    level: "info",
    text: "the lane delivers again",
    act: "",
    fields: [...LANE, "after"],
  },
  lane_mode: { level: "debug", text: "lane changed mode", act: "", fields: [...LANE, "mode"] },
  dead_letters: {
    level: "warn",
    text: "events became dead letters: the destination does not take them",
    act: "`waybill dead-letters list` has each with its reason; retry them when the cause is gone, or discard them.",
    fields: [...LANE, "count", "reasons", "seconds"],
  },
  cursor_moved: {
    level: "warn",
    text: "the cursor was moved; events are skipped",
    act: "Nothing if you meant it: they are counted as dropped.",
    fields: [...LANE, "by", "from", "to", "events"],
  },
  cursor_not_written: {
    level: "error",
    text: "cursor not written; delivery goes on",
    act: "Look at the disk: after a crash now, what was delivered since is sent again.",
    fields: [...LANE, "error", ...COUNTED],
  },
  cursor_not_durable: {
    level: "error",
    text: "a cursor cannot be made durable; delivery goes on, it is tried again every second",
    act: "Look at the disk: after a power cut now, what was delivered since is sent again.",
    fields: ["environment", "error"],
  },
  events_expired: {
    level: "error",
    text: "retention took events before they were delivered; they are expired",
    act: "They are lost for this destination. Raise retention.hardMaxBytes or maxAge, and see why the lane is behind.",
    fields: [...LANE, ...COUNTED],
  },
  replay_expired: {
    level: "warn",
    text: "a replay lost events to retention before their turn came",
    act: "They cannot be replayed any more; a larger retention keeps more.",
    fields: ["environment", "events"],
  },
  replay_failed: {
    level: "error",
    text: "a defect stopped a replay",
    act: "Report the defect (the page has its text), then cancel the replay and start it again.",
    fields: ["environment", "replay", "reason"],
  },

  config_warning: {
    level: "warn",
    text: "a part of the configuration is legal and probably not meant",
    act: "The text names the place and why.",
    fields: [],
  },
  reloaded: { level: "info", text: "configuration reloaded", act: "", fields: ["changed"] },
  reload_failed: {
    level: "error",
    text: "configuration not reloaded; the old one goes on",
    act: "Correct what the errors name; `waybill config check` tells before a reload does.",
    fields: ["errors"],
  },
  destination_removed: {
    level: "warn",
    text: "a destination was removed while events wait for it",
    act: "Nothing if you meant it. They are delivered if a destination of that name returns before retention takes them.",
    fields: [...LANE, "waitingEvents", "waitingBytes"],
  },
  environment_removed: {
    level: "warn",
    text: "an environment was removed while events wait in its log",
    act: "Nothing if you meant it. They are delivered if an environment of that name returns.",
    fields: ["environment", "waitingEvents", "waitingBytes"],
  },
  destination_changed_vendor: {
    level: "warn",
    text: "the destination delivers to another vendor from here on, what waits too; its ledger goes on over both",
    act: "Nothing if you meant it; a destination of another name has a ledger of its own.",
    fields: [...LANE, "before", "vendor", "position"],
  },
  removed_not_closed: {
    level: "error",
    text: "what a reload removed did not close well",
    act: "Look at the disk. Nothing that was accepted is lost.",
    fields: ["error"],
  },

  key_rotated: {
    level: "info",
    text: "the admin API made another key the one in use",
    act: "",
    fields: ["environment", "source", "destination", "graceMs"],
  },
  key_refused: {
    level: "warn",
    text: "the destination refused the key in use; another valid one is used instead",
    act: "Remove the refused key from the configuration.",
    fields: LANE,
  },
  key_not_applied: {
    level: "error",
    text: "another key could not be applied",
    act: "Rotate the key again, or restart the relay.",
    fields: ["error"],
  },
  rotation_kept: {
    level: "warn",
    text: "a key that the admin API rotated in is used, not the one in the file",
    act: "Put the new key into the file; then the file alone decides.",
    fields: [],
  },
  rotation_over: {
    level: "info",
    text: "the file alone decides about a key that was rotated",
    act: "",
    fields: [],
  },
  rotations_unreadable: {
    level: "error",
    text: "the rotations that were kept cannot be read",
    act: "The keys of the file are used; rotate again where they are old.",
    fields: [],
  },
  rotation_not_written: {
    level: "error",
    text: "that a rotation is over could not be written",
    act: "Look at the disk. The next start comes to the same end by the file.",
    fields: ["error"],
  },
  rotation_not_used: {
    level: "error",
    text: "a key that was rotated for all relays cannot be used by this one; it does not deliver with the key before",
    act: "Give this relay the kafka.sealingKey of the others and restart it, or rotate the key again.",
    fields: [],
  },

  keys_refused: {
    level: "warn",
    text: "requests were refused: they have no key, or one that no source has",
    act: "An application has a wrong or an old key: its events are refused until it is corrected. Without a source the path names none; the vendor tells whose SDK it is.",
    fields: [...SOURCE, "vendor", ...COUNTED],
  },
  clients_limited: {
    level: "warn",
    text: "requests were refused: a client sends more than its source may",
    act: "Raise maxRequestsPerSecond of the source (rate_limited), or limits for bodies (share_exceeded), or find the client that sends so much.",
    fields: [...SOURCE, "count", "refusals", "seconds"],
  },
  intake_overloaded: {
    level: "error",
    text: "requests were refused: the relay holds as many bodies as it may",
    act: "Clients keep and send again. See whether the disk is slow, or run another relay.",
    fields: COUNTED,
  },
  storage_refused: {
    level: "error",
    text: "requests were refused: their events cannot be stored",
    act: "Clients keep and send again. `disk`, `log_full`: free space or repair the disk; `log_busy`: it is too slow for what comes.",
    fields: [...SOURCE, "count", "refusals", "seconds"],
  },
  request_failed: {
    level: "error",
    text: "a request failed for a defect of the relay",
    act: "Report it with this line. The request was answered with 500 and harmed nothing else.",
    fields: ["error", "at", ...COUNTED],
  },

  segments_removed: {
    level: "info",
    text: "retention removed segments",
    act: "",
    fields: ["environment", "segments"],
  },
  maintenance_failed: {
    level: "error",
    text: "maintenance failed; it is tried again",
    act: "Look at the disk, or at the brokers: what is old is not removed meanwhile, and takes space.",
    fields: ["environment", "error"],
  },
  defect: {
    level: "error",
    text: "a defect, harmless to others",
    act: "Report it with this line.",
    fields: ["environment", "error"],
  },
  memory_source: {
    level: "warn",
    text: "a source that keeps its events in memory has lost some, or cannot send",
    act: "Raise its capacity, correct the credential, or let the log keep its events.",
    fields: [...SOURCE, "problem"],
  },

  tracing_on: {
    level: "info",
    text: "OpenTelemetry: requests and deliveries are traced",
    act: "",
    fields: ["registered"],
  },
  tracing_mismatch: {
    level: "warn",
    text: "OpenTelemetry: a provider is registered that the relay's copy of @opentelemetry/api does not see; nothing is traced",
    act: "Install the SDK beside the relay, so that both use one copy of @opentelemetry/api.",
    fields: ["registered"],
  },
};
