/**
 * What single headers say: read or ignored, never thrown at. And the pixel, whose query is base64.
 */
import assert from "node:assert";
import { retryAfterMs } from "@waybill/core";
import {
  launchdarklyInbound,
  launchdarklyMetadata,
  parseAuthorization,
  parseLaunchdarklyMetadata,
  vendorOf,
} from "@waybill/vendors";
import { ADAPTERS } from "@waybill/vendors/registry";
import type { Target } from "../target.ts";
import { OPTIONS, REQUESTS } from "./framing.ts";

const NOW_MS = 1_767_225_600_000;
const DAY_MS = 24 * 3_600_000;
const PIXEL_PATH = "/a/env.gif";
const BODY = Buffer.from('[{"kind":"feature","creationDate":1000,"key":"f"},"text",-0.5]');
const NAMES = [
  "authorization",
  "x-api-key",
  "x-idempotency-key",
  "x-launchdarkly-event-schema",
  "x-launchdarkly-tags",
  "x-launchdarkly-payload-id",
  "origin",
  "idempotency-key",
  "tenant-id",
];

/** The pixel answers its image, whatever is in the query; what it takes is JSON. */
export const pixel: Target = {
  dictionary: ["d=", "&", "%", "%2B", "%zz", "=", "==", "+", " ", "_", "-", "W10", "WzFd"],
  open: () => ({
    run(input) {
      const request = { method: "GET", path: PIXEL_PATH, query: input.toString("latin1"), headers: {} };
      const taken = launchdarklyInbound.match(PIXEL_PATH)?.take(new Uint8Array(0), request, OPTIONS);
      assert.ok(taken !== undefined && "answer" in taken);
      const answer = typeof taken.answer === "function" ? taken.answer(0) : taken.answer;
      assert.equal(answer.status, 200);
      if ("parts" in taken)
        for (const { events } of taken.parts) JSON.parse(`[${Buffer.concat(events.body).toString()}]`);
    },
  }),
};

/** Nothing throws; tags come back as they went in. */
export const headers: Target = {
  dictionary: [
    "Basic ",
    "Bearer ",
    "api_key ",
    ":",
    "=",
    " ",
    "-1",
    "1e9",
    "Wed, ",
    "GMT",
    "launchdarkly ",
    "diagnostic ",
    "{",
    "\u0000",
    "\u00ff",
  ],
  open: () => ({
    run(input) {
      const value = input.toString("latin1");
      parseAuthorization(value);
      const waiting = { status: 429, headers: { "retry-after": value, "x-ratelimit-reset": value } };
      const waitMs = retryAfterMs(waiting, NOW_MS);
      assert.ok(waitMs === undefined || (waitMs > 0 && waitMs <= DAY_MS), `waits ${waitMs}`);
      const asked = Object.fromEntries(NAMES.map((name) => [name, value]));
      for (const { inbound } of ADAPTERS)
        for (const request of REQUESTS) {
          const full = { ...request, query: `api_key=${value}`, headers: asked };
          inbound.key(full);
          const route = inbound.match(request.path);
          route?.headers?.(full, OPTIONS);
          route?.take(BODY, full, OPTIONS);
          inbound.refuse({ kind: "unauthorized", message: value }, full);
        }
      vendorOf(value);
      parseLaunchdarklyMetadata(value);
      const metadata = { sdk: "server", schema: 4, tags: value } as const;
      assert.deepEqual(parseLaunchdarklyMetadata(launchdarklyMetadata(metadata)), metadata);
    },
  }),
};
