/** Trophy's doors: the metric event, an exchange. Source: protocol sections 1 to 5. */
import { writeTrophy } from "../trophy/protocol.ts";
import { type Door, type DoorAnswer, isText, jsonAnswer, objectIn, plainPath, REFUSAL_STATUS } from "./door.ts";
import { eventText, frame, joined, type Range } from "./frame.ts";

const encoder = new TextEncoder();

export const trophyDoor: Door = {
  vendor: "trophy",
  match(path) {
    const plain = plainPath(path).replace(/^\/(?:v1|api)(?=\/)/, "");
    const metric = /^\/metrics\/(.+)\/event$/.exec(plain)?.[1];
    if (metric === undefined) {
      if (!/^\/(?:users|achievements|streaks|points|leaderboards)(?:\/|$)/.test(plain)) return undefined;
      return { methods: ["GET", "POST", "PUT", "PATCH"], take: () => ({ ask: { path: plain } }) };
    }
    return {
      methods: ["POST"],
      take(body, { headers }, { makeId }) {
        const framed = frame(body, { kind: "object" }, { allowNonFinite: false });
        if ("code" in framed) return { refusal: { kind: "invalid", message: framed.message } };
        const [range] = framed.events as readonly [Range];
        const text = eventText(framed, range);
        const { user, value } = objectIn(text) ?? {};
        const id =
          typeof user === "object" && user !== null ? (user as Readonly<Record<string, unknown>>)["id"] : undefined;
        if (!isText(id)) return { answer: jsonAnswer(422, { error: "user.id is required." }) };
        if (typeof value !== "number") return { answer: jsonAnswer(422, { error: "value must be a number." }) };
        // With a key of ours the vendor acts once, however often we ask.
        const key = headers["idempotency-key"] ?? makeId();
        const tenant = headers["tenant-id"];
        const head = { metric: decoded(metric), key, ...(tenant === undefined ? {} : { tenant }) };
        return {
          stored: joined([[encoder.encode(writeTrophy(head, text))]]),
          metadata: "trophy",
          ids: [""],
          exchange: "trophy",
          answer: () => jsonAnswer(202, { stored: true }),
        };
      },
    };
  },
  key: ({ headers }) => headers["x-api-key"],
  refuse: (refusal): DoorAnswer => jsonAnswer(REFUSAL_STATUS[refusal.kind], { error: refusal.message }),
};

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
