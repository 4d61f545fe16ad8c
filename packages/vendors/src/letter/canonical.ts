/** Letter's events from and to canonical ones. */
import type { Translate } from "@waybill/core";
import { type Canonical, objectOf, present } from "../canonical/canonical.ts";
import type { EventType } from "../canonical/events.ts";
import { compact, createTranslate, type EventMap, type ReadCanonical, textAt } from "../canonical/mapping.ts";
import { type LetterItem, writeLetter } from "./outbound.ts";

/**
 * | canonical | Letter |
 * |---|---|
 * | identify | identify: `email` from `traits.email`, `timezone` from `context.timezone` |
 * | group | group: `accountId` from `groupId`, `name` from `traits.name` |
 * | track | track |
 * | page, screen, alias, and any event without a `userId` | none |
 */
export function letterFromCanonical(events?: EventMap<LetterItem>, read?: ReadCanonical): Translate {
  return createTranslate<LetterItem>(
    {
      vendor: "Letter",
      events,
      encode: {
        identify: ({ userId, traits, context, timestamp, messageId }) =>
          userId === undefined
            ? undefined
            : {
                type: "identify",
                userId,
                email: textAt(traits, "email"),
                traits,
                timezone: textAt(context, "timezone"),
                timestamp,
                messageId,
              },
        group: ({ userId, groupId, traits, timestamp, messageId }) =>
          userId === undefined
            ? undefined
            : { type: "group", userId, accountId: groupId, name: textAt(traits, "name"), traits, timestamp, messageId },
        track: ({ userId, properties, timestamp, messageId }, event) =>
          userId === undefined ? undefined : { type: "track", userId, event, properties, timestamp, messageId },
      },
      write: (item) => ({ text: writeLetter(compact(item)), metadata: "letter" }),
    },
    read,
  );
}

/** Letter's identify, group and track are canonical events of the same type. */
export function letterToCanonical(text: string): Canonical {
  const { type, accountId, email, timezone, traits, name, ...fields } = objectOf(JSON.parse(text));
  return present({
    ...fields,
    type: type as EventType,
    ...(type === "group" ? { groupId: accountId } : {}),
    ...(type === "track" ? {} : { traits: present({ ...objectOf(traits), email, name }) }),
    ...(timezone === undefined ? {} : { context: { timezone } }),
  });
}
