/** Those of relays before a cluster, as in `lines.ts`. */
import { LANE, type Line, type LineCode, type LineFields } from "./line-fields.ts";

export const CLUSTER_LINES = {
  lane_fenced: {
    level: "warn",
    text: "a lane's state was not committed: another relay may have the partition now; this one joins anew",
    act: "Nothing, unless it comes again and again: then look at the brokers, and at how long this process is stopped.",
    fields: [...LANE, "partition", "error"],
  },
  lane_lost: {
    level: "warn",
    text: "partitions of a destination are not this relay's any more: its group expelled it, or did not answer in time; it joins anew",
    act: "Nothing, unless it comes again and again: then look at the brokers, and at how long this process is stopped.",
    fields: [...LANE, "partitions", "reason"],
  },
  lane_not_opened: {
    level: "error",
    text: "the events of a partition cannot be delivered here; it is tried again every few seconds, and logged once for each kind of error",
    act: "The error says what is wrong with the state, the topics or the cluster.",
    fields: [...LANE, "partition", "error"],
  },
  lane_opened: {
    level: "info",
    text: "they are delivered here now",
    act: "",
    fields: [...LANE, "partition"],
  },
  replay_not_run: {
    level: "error",
    text: "a replay cannot begin or end in a partition; it is tried again every two seconds, and logged once for each kind of error until it works",
    act: "The error says what is wrong with the directory of the relay, or the cluster.",
    fields: [...LANE, "partition", "error"],
  },
  lane_not_closed: {
    level: "warn",
    text: "a lane that another relay takes over did not end as it should; what was in flight may be sent twice",
    act: "Nothing: the relay that has the lane now sends it under the same keys.",
    fields: [...LANE, "partition", "error"],
  },
  lanes_begin_at_end: {
    level: "warn",
    text: "a destination has no committed offsets, though its topics were there before: it begins at the end of these partitions, and what it had not got of them is not sent",
    act: "Nothing where the destination was taken out for long. Otherwise replay what is missing, and let the brokers' offsets.retention.minutes be longer than any outage of all relays.",
    fields: [...LANE, "partitions"],
  },
  heartbeats_failing: {
    level: "warn",
    text: "the heartbeats of a destination's group are not answered: when the session is over, its lanes are given up here",
    act: "Look at the brokers, and whether they are reachable from here.",
    fields: [...LANE, "error"],
  },
  heartbeats_work: {
    level: "info",
    text: "the heartbeats of that group are answered again",
    act: "",
    fields: LANE,
  },
  checkpoint_not_written: {
    level: "warn",
    text: "the place up to which a topic was counted could not be written; it is tried again each second",
    act: "Look at the brokers; without it the next start counts more.",
    fields: ["environment", "error"],
  },
  checkpoint_written: {
    level: "info",
    text: "that place is written again",
    act: "",
    fields: ["environment"],
  },
  records_not_removed: {
    level: "error",
    text: "old events cannot be removed from a topic; it is tried again every ten seconds",
    act: "Look at the brokers: the topic grows meanwhile.",
    fields: ["environment", "error"],
  },
  records_removed_again: {
    level: "info",
    text: "old events are removed from that topic again",
    act: "",
    fields: ["environment"],
  },
  cluster_topic_failing: {
    level: "warn",
    text: "a topic in which relays know of each other and of what operators ask cannot be read or written",
    act: "Look at the brokers. Lanes go on as they are; what operators ask is carried out once it is read, and lanes that come wait for it.",
    fields: ["topic", "error"],
  },
  cluster_topic_works: {
    level: "info",
    text: "that topic is read and written again",
    act: "",
    fields: ["topic"],
  },
  desired_topic_full: {
    level: "error",
    text: "the topic of what operators ask has more keys, or larger ones, than a relay keeps in memory; what comes after them is not carried out",
    act: "Somebody else writes to it: let relays alone do that. Then stop all relays, remove the topic, start them, and ask again for pauses and rotations.",
    fields: ["topic"],
  },
  brokers_not_reached: {
    level: "warn",
    text: "the brokers cannot be asked for the topics; it is tried again for half a minute, and then the relay does not start",
    act: "Look whether they run, and are reachable from here: kafka.brokers, kafka.tls, kafka.sasl.",
    fields: ["brokers", "error"],
  },
  topic_faulty: {
    level: "error",
    text: "somebody has changed a topic, and as it is now events may be lost or not be taken; the relay goes on, and does not start again like that",
    act: "Repair it with the command that the line has.",
    fields: ["topic", "reason", "repair"],
  },
  topic_repaired: {
    level: "info",
    text: "that topic is as it should be again",
    act: "",
    fields: ["topic"],
  },
} satisfies { readonly [Code in LineCode]?: Line<LineFields[Code]> };
