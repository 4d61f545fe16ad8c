/** Schemas of signing in with the page. */
import { z } from "zod";
import { component, flag, text } from "./common.ts";

export const session = component(
  "Session",
  z
    .object({
      required: flag("Whether a token is configured: without one, everybody who is answered may do everything."),
      role: z.enum(["full", "readOnly"]).nullable().describe("What this request may do; null: sign in first."),
      version: text("The relay's version."),
      readOnlyTokenConfigured: flag("Whether there is a token that may only look."),
    })
    .describe("Whether one is signed in."),
);
