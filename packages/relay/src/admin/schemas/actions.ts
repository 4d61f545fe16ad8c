/** Schemas of what actions answer: rotations, reloads, replays. */
import { z } from "zod";
import { component, count, destinationName, environmentName, flag, sourceName, text } from "./common.ts";
import { replay } from "./overview.ts";

export const keyKind = z
  .enum(["mobile", "js"])
  .describe("Which kind of key, where a source or destination has several.");

export const reloadResult = component(
  "ReloadResult",
  z.object({
    ok: flag("Whether the configuration was taken over. It is taken over as a whole or not at all."),
    changed: z.array(z.string()).describe("What has changed, a sentence each."),
    errors: z.array(z.string()).describe("Why it was not taken over."),
    rotations: z
      .array(z.string())
      .exactOptional()
      .describe("Which of the file and a rotation holds, where they differ. Absent when no rotation is kept."),
  }),
);

export const rotation = component(
  "Rotation",
  z
    .object({
      environment: environmentName,
      source: sourceName.exactOptional(),
      destination: destinationName.exactOptional(),
      kind: keyKind.exactOptional(),
      rotatedAtMs: count("When the key was rotated, in epoch milliseconds."),
      fingerprint: text("The first eight hexadecimal characters of the new key's SHA-256."),
      inUse: flag("False while the configuration has no such source or destination."),
    })
    .describe("A rotation that is kept: it holds, over reloads and restarts, until the file has the new key."),
);

const relayNames = z
  .array(z.string())
  .describe("Relays of the cluster that have not confirmed it within five seconds. They do it once they read it.");

export const unconfirmed = component("Unconfirmed", z.object({ unconfirmed: relayNames }));

export const rotated = component(
  "Rotated",
  z.object({
    rotated: z.literal(true),
    graceMs: z.number().min(0).describe("How long the keys before it stay valid."),
    unconfirmed: relayNames.exactOptional(),
  }),
);

export const cursorMove = component(
  "CursorMove",
  z.object({
    from: count("Where the cursor was: the position of the first event that was not settled."),
    to: count("Where it is moved to."),
    events: count("Events between that were not settled. They are dropped, as `skipped`."),
    moved: flag("False for a dry run."),
  }),
);

export const replayCount = component(
  "ReplayCount",
  z.object({ events: count("How many events would be sent.") }).describe("The answer of a replay that only counts."),
);

export const retried = component(
  "Retried",
  z
    .object({
      events: count("How many dead letters they send."),
      replays: z.array(replay).describe("One for each partition that has some."),
    })
    .describe("A retry over all partitions."),
);

export const discarded = component(
  "Discarded",
  z.object({
    events: count("How many dead letters were chosen: with `dryRun` that is all that is done."),
    discarded: count("How many dead letters were given up."),
  }),
);
