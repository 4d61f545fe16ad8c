/** PostHog's doors: the batch and single events. The key stands in the body, so a source of this protocol is found by its prefix or host. */
import {
  type Door,
  type DoorAnswer,
  isText,
  jsonAnswer,
  objectIn,
  plainPath,
  REFUSAL_STATUS,
  type Taken,
} from "./door.ts";
import { eventText, frame, type Range, storedForm } from "./frame.ts";

const PATHS: Readonly<Record<string, "batch" | "single">> = {
  "/batch": "batch",
  "/capture": "single",
  "/e": "single",
  "/i/v0/e": "single",
};

export const posthogDoor: Door = {
  vendor: "posthog",
  match(path) {
    const kind = PATHS[plainPath(path)];
    if (kind === undefined) return undefined;
    return {
      methods: ["POST"],
      take(body, _request, { isKey }): Taken {
        const whole = frame(body, { kind: "object" }, { allowNonFinite: false });
        if ("code" in whole) return { refusal: { kind: "invalid", message: whole.message } };
        const [range] = whole.events as readonly [Range];
        const { api_key: apiKey, token } = objectIn(eventText(whole, range)) ?? {};
        const key = apiKey ?? token;
        if (!isText(key) || !isKey(key))
          return { refusal: { kind: "unauthorized", message: "The key is not known here." } };
        const framed =
          kind === "batch" ? frame(body, { kind: "member", name: "batch" }, { allowNonFinite: false }) : whole;
        if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
        const kept: Range[] = [];
        const ids: string[] = [];
        for (const one of framed.events) {
          const event = objectIn(eventText(framed, one));
          if (event === undefined || !isText(event["event"])) continue;
          kept.push(one);
          ids.push(isText(event["uuid"]) ? event["uuid"] : "");
        }
        if (kept.length < framed.events.length)
          return { refusal: { kind: "invalid", message: "An event of it is no object with an event name." } };
        return {
          stored: kept.length === 0 ? undefined : storedForm(framed, kept),
          metadata: "posthog",
          ids,
          answer: () => jsonAnswer(200, { status: 1 }),
        };
      },
    };
  },
  key: () => undefined,
  refuse: (refusal): DoorAnswer =>
    jsonAnswer(REFUSAL_STATUS[refusal.kind], {
      type: refusal.kind === "unauthorized" ? "authentication_error" : "validation_error",
      code: refusal.kind,
      detail: refusal.message,
    }),
};
