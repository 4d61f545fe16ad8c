/** Schemas of the configuration: the one in force, and what another one would change. */
import { z } from "zod";
import { component, count, flag, text } from "./common.ts";

export const config = component(
  "Config",
  z
    .object({
      file: z.string().nullable().describe("Path of its file; null: the relay was started without one."),
      loadedAt: count("When it was read, in epoch milliseconds."),
      config: z
        .record(z.string(), z.unknown())
        .describe(
          "Every value in force: durations in milliseconds, sizes in bytes. In place of a secret: `(secret)`; of the keys of a source only how many there are.",
        ),
      warnings: z.array(z.string()).describe("What is allowed and will hardly do what was meant."),
      lastReload: z
        .object({
          at: count("When it was, in epoch milliseconds."),
          ok: flag("Whether it was taken over."),
          messages: z.array(z.string()).describe("What has changed, or why nothing has."),
        })
        .nullable()
        .describe("The last reload since the process started, also one that failed."),
    })
    .describe("The configuration in force."),
);

const configFault = component(
  "ConfigFault",
  z.object({
    line: count("From 1; 0: it has no place in the text."),
    column: count("From 1; 0: it has no place in the text."),
    path: text("Which value: `environments.production.destinations.x.writeKey`. Empty for the text as a whole."),
    message: text("What is wrong. It never has a secret."),
    hint: z.string().nullable().describe("What to do."),
  }),
);

export const configCheck = component(
  "ConfigCheck",
  z
    .object({
      ok: flag("Whether a reload would take it over."),
      faults: z.array(configFault).describe("What is wrong, in the order of the text."),
      changes: z
        .array(
          z.object({
            kind: z.enum(["added", "removed", "changed"]),
            what: z.enum(["setting", "environment", "source", "destination"]),
            name: text("Its name: `production/segment`, `retention`."),
            takesRestart: flag("Whether it takes a restart: a reload refuses the whole."),
          }),
        )
        .describe("What would change. A key that changes is a change; a source with another key is listed."),
      warnings: z.array(z.string()).describe("What is allowed and will hardly do what was meant."),
    })
    .describe("A configuration that was checked. Nothing of it was applied."),
);
