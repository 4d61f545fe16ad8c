/** Valued's door: any path, one event a request. What is no event of Valued's is taken like the rest: the vendor looks at it later. Source: protocol section 1. */

import { frame, storedForm } from "../inbound/frame.ts";
import { bearer, type Inbound, type InboundAnswer, jsonAnswer, plainPath, REFUSAL_STATUS } from "../inbound/inbound.ts";

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "POST, OPTIONS",
  "access-control-allow-headers": "Authorization, Content-Type",
};

export const valuedInbound: Inbound = {
  vendor: "valued",
  keyPlace: "as a Bearer token in Authorization",
  match(path) {
    if (!["/events", "/"].includes(plainPath(path))) return undefined;
    return {
      methods: ["POST"],
      preflight: () => ({ status: 204, headers: CORS, body: "" }),
      headers: () => CORS,
      take(body) {
        const framed = frame(body, { kind: "object" }, { allowNonFinite: true });
        if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
        return {
          stored: storedForm(framed, framed.events),
          metadata: "valued",
          ids: [""],
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
