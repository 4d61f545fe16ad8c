/**
 * Schemas of what requests bring. The message of each error is what is expected in place of what
 * was given:
 * "a whole number from 1 to 1000". `validation.ts` makes the sentence of it.
 */
import { keyFault } from "@waybill/vendors/config";
import { z } from "zod";
import { RECEIPT_RANGES } from "../../receipt.ts";
import { keyKind } from "./actions.ts";
import { component } from "./common.ts";
import { deadLetterState } from "./overview.ts";

/** An event of Segment's has at most 32 KiB, and its id is a part of it. */
const ID_MAX_CHARACTERS = 32 * 1024;
const PAGE_MAX = 1_000;
const PAGE_DEFAULT = 100;
/** More are chosen by a filter. */
const DEAD_LETTER_IDS_MAX = 1_000;
const EVENTS_PER_SECOND_MIN = 0.001;
const EVENTS_PER_SECOND_MAX = 1_000_000;
/** Long enough for a deploy. */
const GRACE_DEFAULT_MS = 3_600_000;
const GRACE_MAX_MS = 30 * 24 * 3_600_000;
/** Longer than a caller of a relay would wait. */
export const EXCHANGE_WAIT_MAX_MS = 600_000;
/** The last instant that a date can name. */
const TIME_MAX_MS = 8_640_000_000_000_000;
const ISO_8601 = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;
const TIME_EXPECTED = "a time as ISO 8601 or in epoch milliseconds";

/** Text in a query or a path. */
const textParameter = (description: string) => z.string("a text").describe(description);

/** Decimal digits in a query. */
function wholeNumber(description: string, { min, max }: { readonly min: number; readonly max: number }) {
  const expected = `a whole number from ${min} to ${max}`;
  return z
    .string(expected)
    .regex(/^\d{1,16}$/, { error: expected, abort: true })
    .transform(Number)
    .pipe(z.number().int(expected).min(min, expected).max(max, expected))
    .meta({ description, type: "integer", minimum: min, maximum: max, pattern: undefined });
}

/** ISO 8601 or epoch milliseconds; to epoch milliseconds. */
const time = (description: string) =>
  z
    .union([z.string(), z.number()], TIME_EXPECTED)
    .transform((given, context) => {
      const ms = msOf(given);
      if (ms >= 0 && ms <= TIME_MAX_MS) return ms;
      context.addIssue({ code: "custom", message: TIME_EXPECTED });
      return z.NEVER;
    })
    .meta({ description: `${description} ISO 8601 or epoch milliseconds.` });

function msOf(given: string | number): number {
  if (typeof given === "number") return given;
  if (/^\d+$/.test(given)) return Number(given);
  return ISO_8601.test(given) ? Date.parse(given) : Number.NaN;
}

/** Of all partitions a dead letter is named with its own: `3:17`. */
const deadLetterName = /^(?:\d{1,5}:)?\d{1,15}$/;
const idsExpected = `up to ${DEAD_LETTER_IDS_MAX} whole numbers, separated by commas`;
const deadLetterIds = z
  .string(idsExpected)
  .transform((given) => given.split(","))
  .pipe(z.array(z.string().regex(deadLetterName, idsExpected)).max(DEAD_LETTER_IDS_MAX, idsExpected))
  .meta({
    description:
      "Only the dead letters of these ids, separated by commas: `17,18`. Of all partitions with the partition of each: `3:17,4:2`.",
  });

export const lanePath = z.strictObject({
  environment: textParameter("Name of the environment."),
  destination: textParameter("Name of the destination."),
});

export const sourcePath = z.strictObject({
  environment: textParameter("Name of the environment."),
  source: textParameter("Name of the source."),
});

export const environmentPath = z.strictObject({ environment: textParameter("Name of the environment.") });

export const replayPath = z.strictObject({
  environment: textParameter("Name of the environment."),
  id: textParameter("Id of the replay, a UUID."),
});

export const historyQuery = z.strictObject({
  environment: textParameter("Only this environment.").exactOptional(),
  destination: textParameter("Only destinations of this name.").exactOptional(),
});

export const messageIdPath = z.strictObject({
  messageId: z
    .string()
    .min(1, `an id of 1 to ${ID_MAX_CHARACTERS} characters`)
    .max(ID_MAX_CHARACTERS, `an id of 1 to ${ID_MAX_CHARACTERS} characters`)
    .describe("The event's id."),
});

export const receiptPath = z.strictObject({
  environment: textParameter("Name of the environment."),
  positions: z
    .string()
    .regex(RECEIPT_RANGES, "a receipt, such as 1841+2, with Kafka 3@1841+2, or several of them separated by commas")
    .describe("A receipt as the header `waybill-receipt` has it after the environment, or one position."),
});

export const eventPath = z.strictObject({
  environment: textParameter("Name of the environment."),
  position: wholeNumber("Position of the event in the log.", { min: 0, max: Number.MAX_SAFE_INTEGER - 1 }),
});

export const exchangePath = z.strictObject({
  environment: textParameter("Name of the environment, with the partition: `production/3`."),
  destination: textParameter("Name of the destination."),
  offset: wholeNumber("Of the event's record in the partition.", { min: 0, max: Number.MAX_SAFE_INTEGER - 1 }),
});

export const exchangeQuery = z.strictObject({
  waitMs: wholeNumber("How long to wait, in milliseconds. Default: 10 s.", {
    min: 0,
    max: EXCHANGE_WAIT_MAX_MS,
  }).exactOptional(),
});

const names = {
  type: textParameter(
    "Only events of this type: track, identify and so on, whatever their vendor calls it.",
  ).exactOptional(),
  name: textParameter("Only events of this name.").exactOptional(),
  user: textParameter("Only events of this user id or anonymous id.").exactOptional(),
};

export const searchQuery = z.strictObject({
  environment: textParameter("The environment. May be left out when there is only one.").exactOptional(),
  source: textParameter("Only events of this source.").exactOptional(),
  ...names,
  since: time("Only events received then or later.").exactOptional(),
  until: time("Only events received before then.").exactOptional(),
  from: wholeNumber("Begin at this position: the `next` of the answer before.", {
    min: 0,
    max: Number.MAX_SAFE_INTEGER - 1,
  }).exactOptional(),
});

export const tailQuery = z.strictObject({
  environment: textParameter("Only events of this environment.").exactOptional(),
  source: textParameter("Only events of this source.").exactOptional(),
  ...names,
});

export const traceQuery = z.strictObject({
  environment: textParameter("Only events of this environment.").exactOptional(),
  since: time("Look from this time on.").exactOptional(),
  until: time("Look until this time.").exactOptional(),
});

const deadLetterFilter = {
  state: z
    .enum(deadLetterState.options, "one of waiting, retried, discarded")
    .describe("Only those in this state.")
    .exactOptional(),
  source: textParameter("Only events of this source.").exactOptional(),
  reason: textParameter("Only those whose reason contains this text.").exactOptional(),
  name: textParameter("Only events of this name.").exactOptional(),
  user: textParameter("Only events of this user id or anonymous id.").exactOptional(),
  since: time("Only those that were refused then or later.").exactOptional(),
  until: time("Only those that were refused before then.").exactOptional(),
  id: deadLetterIds.exactOptional(),
};

export const deadLetterQuery = z.strictObject(deadLetterFilter);

export const deadLetterPageQuery = z.strictObject({
  ...deadLetterFilter,
  after: z
    .string("an id")
    .regex(deadLetterName, "the `next` of the page before")
    .describe("Begin after this id: the `next` of the page before.")
    .exactOptional(),
  limit: wholeNumber(`Dead letters on a page. Default ${PAGE_DEFAULT}.`, { min: 1, max: PAGE_MAX }).default(
    PAGE_DEFAULT,
  ),
});

const rateExpected = `a number from ${EVENTS_PER_SECOND_MIN} to ${EVENTS_PER_SECOND_MAX}`;

const dryRun = z
  .enum(["true", "false"], "true or false")
  .transform((given) => given === "true")
  .meta({ description: "Only count them.", type: "boolean", enum: undefined })
  .exactOptional();

export const deadLetterDiscardQuery = z.strictObject({ ...deadLetterFilter, dryRun });

export const deadLetterRetryQuery = z.strictObject({
  ...deadLetterFilter,
  dryRun,
  eventsPerSecond: z
    .string(rateExpected)
    .regex(/^\d{1,7}(?:\.\d{1,3})?$/, { error: rateExpected, abort: true })
    .transform(Number)
    .pipe(z.number().min(EVENTS_PER_SECOND_MIN, rateExpected).max(EVENTS_PER_SECOND_MAX, rateExpected))
    .meta({
      description: "Send no faster than this, over all partitions. No limit of its own if absent.",
      type: "number",
      minimum: EVENTS_PER_SECOND_MIN,
      maximum: EVENTS_PER_SECOND_MAX,
      pattern: undefined,
    })
    .exactOptional(),
});

const fieldText = (description: string) => z.string("a text").describe(description).exactOptional();

export const replayRequest = component(
  "ReplayRequest",
  z
    .strictObject({
      destination: z.string("the name of a destination").describe("Where to send the events."),
      since: time("Only events received then or later.").exactOptional(),
      until: time("Only events received before then.").exactOptional(),
      source: fieldText("Only events of this source."),
      type: fieldText("Only events of this type."),
      event: fieldText("Only events of this name."),
      userId: fieldText("Only events of this user."),
      eventsPerSecond: z
        .number(rateExpected)
        .min(EVENTS_PER_SECOND_MIN, rateExpected)
        .max(EVENTS_PER_SECOND_MAX, rateExpected)
        .describe("Send no faster than this. The destination's own limits hold in any case.")
        .exactOptional(),
      dryRun: z.boolean("true or false").describe("Only count the events.").exactOptional(),
    })
    .describe("Which events to send again. All that is given must hold."),
);

const graceExpected = `a number from 0 to ${GRACE_MAX_MS}`;

export const rotateRequest = component(
  "RotateRequest",
  z
    .strictObject({
      key: z
        .string("a key of printable ASCII characters")
        .superRefine((key, context) => {
          const fault = keyFault(key);
          if (fault !== undefined) context.addIssue({ code: "custom", message: fault, params: { fault } });
        })
        .meta({ description: "The new key.", writeOnly: true }),
      graceMs: z
        .number(graceExpected)
        .min(0, graceExpected)
        .max(GRACE_MAX_MS, graceExpected)
        .describe("How long the keys before it stay valid. Default one hour.")
        .default(GRACE_DEFAULT_MS),
      kind: z
        .enum(keyKind.options, 'one of "mobile", "js"')
        .describe("LaunchDarkly's kinds of keys. Default: the ordinary one.")
        .exactOptional(),
    })
    .describe("A new key. It holds until the configuration's file has it."),
);

export const configCheckRequest = component(
  "ConfigCheckRequest",
  z
    .strictObject({
      text: z
        .string("the text of a configuration file")
        .describe("What to check. Absent: the file on disk, as a reload would read it.")
        .exactOptional(),
    })
    .describe("A configuration to check. The body may be left out."),
);

/** Longer ones are none: they are hashed before they are compared. */
const TOKEN_MAX_CHARACTERS = 4_096;
const tokenExpected = `a token of at most ${TOKEN_MAX_CHARACTERS} characters`;

export const signInRequest = component(
  "SignInRequest",
  z
    .strictObject({
      token: z
        .string(tokenExpected)
        .max(TOKEN_MAX_CHARACTERS, tokenExpected)
        .meta({ description: "The admin token, or the read-only one.", writeOnly: true }),
    })
    .describe("Who signs in."),
);

const positionExpected = "a whole number from 0";

export const cursorRequest = component(
  "CursorRequest",
  z
    .strictObject({
      position: z
        .int(positionExpected)
        .min(0, positionExpected)
        .describe("The next event to deliver: ahead of the cursor, at most the end of the log."),
      dryRun: z.boolean("true or false").describe("Only count the events.").exactOptional(),
    })
    .describe("Where to move a lane's cursor to. Events before that are not settled are never delivered."),
);
