/** Schemas of what the relays of a cluster answer each other. */
import { z } from "zod";
import { component, text, whole } from "./common.ts";

export const vendorAnswer = component(
  "VendorAnswer",
  z
    .object({
      status: whole("The HTTP status."),
      contentType: z.string().nullable().describe("The header `content-type`; null without one."),
      body: text("As text."),
    })
    .describe("A vendor's own answer, as a caller of a relay gets it."),
);
