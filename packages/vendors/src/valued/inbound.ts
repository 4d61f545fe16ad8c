/**
 * Valued's inbound adapter: any path, one event a request. What is not an event of Valued's is
 * taken like the rest: the vendor looks at it later. Source: protocol section 1.
 */

import { frame, storedEvents } from "../inbound/frame.ts";
import { bearer, type Inbound, type InboundAnswer, jsonAnswer, plainPath, REFUSAL_STATUS } from "../inbound/inbound.ts";
import { KIB } from "../inbound/limits.ts";

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "POST, OPTIONS",
  "access-control-allow-headers": "Authorization, Content-Type",
};

export const valuedInbound: Inbound = {
  limits: { bodyMaxBytes: 256 * KIB, maxEvents: 1 },
  keyPlace: "as a Bearer token in Authorization",
  match(path) {
    const pattern = plainPath(path);
    if (!["/events", "/"].includes(pattern)) return undefined;
    return {
      pattern,
      methods: ["POST"],
      preflight: () => ({ status: 204, headers: CORS, body: "" }),
      headers: () => CORS,
      take(body) {
        const framed = frame(body, { kind: "object" }, { allowNonFinite: true });
        if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
        return {
          parts: [{ events: storedEvents(framed, framed.events), metadata: "valued", ids: [] }],
          answer: () => jsonAnswer(202, { status: "accepted" }),
        };
      },
    };
  },
  key: bearer,
  refuse: (refusal): InboundAnswer =>
    jsonAnswer(REFUSAL_STATUS[refusal.kind], {
      error: refusal.kind === "unauthorized" ? "unauthorized" : refusal.message,
    }),
};
