import type { Seed } from "./seed.ts";

const VENDOR = "packages/vendors/src/launchdarkly";
const CLIENT = "packages/client/src/launchdarkly";
const INBOUND = "packages/vendors/src/launchdarkly/inbound.ts";
const PUBLISHER_TESTS = "packages/client/test/vendors/launchdarkly.test.ts";
const DISPATCHER_TESTS = "packages/client/test/vendors/launchdarkly-dispatcher.test.ts";
const RELAY_TESTS = "packages/relay/test/launchdarkly/launchdarkly.heavy.test.ts";
const MEMORY_TESTS = "packages/relay/test/launchdarkly/memory-relay.test.ts";
const SUMMARIES_TESTS = "packages/relay/test/launchdarkly/summaries.test.ts";
const OPTIONS_TESTS = "packages/relay/test/launchdarkly/options.test.ts";
const SUMMARISE_TESTS = "packages/vendors/test/launchdarkly/summarise.test.ts";
const PROCESSOR_TESTS = "packages/vendors/test/launchdarkly/processor.test.ts";

export const LAUNCHDARKLY: Seed = {
  system: "LaunchDarkly Relay `events`",
  lines: [
    // Constants, metadata.
    {
      behaviour: "`SummaryEventsSchemaVersion` is 3; `EventSchemaHeader` and `TagsHeader` name the two headers.",
      code: `${CLIENT}/metadata.ts#SUMMARY_EVENTS_SCHEMA_VERSION = 3`,
      tests: [`${DISPATCHER_TESTS}#the constants are those of the original`],
    },
    {
      behaviour: "`GetEventPayloadMetadata` reads both headers of a request, in any letter case; of several the first.",
      code: `${CLIENT}/metadata.ts#export function getEventPayloadMetadata`,
      tests: [
        `${DISPATCHER_TESTS}#getEventPayloadMetadata: headers of Node, of the web, in any letter case; the first of several`,
      ],
    },
    {
      behaviour: "`SchemaVersion` is the header's number, or 1 if unknown: missing, not a decimal number, 0 or less.",
      code: `${INBOUND}#export function schemaOf`,
      tests: [
        `${DISPATCHER_TESTS}#getEventPayloadMetadata: the schema header is a whole decimal number, or counts as 1 (%s %i)`,
        `${RELAY_TESTS}#the schema header is a whole decimal number or counts as 1: events of 3abc are summarised`,
        `packages/vendors/test/inbound/inbound.test.ts#an SDK's key is not kept with a diagnostic, nor a schema that is not a number of LaunchDarkly's`,
      ],
      differs: "a number above 1,000 counts as 1 too.",
    },
    {
      behaviour: '`Tags` is the text of the header, or "" if there is none; it is copied when events are forwarded.',
      code: `${CLIENT}/metadata.ts#read[TAGS_HEADER.toLowerCase()]`,
      tests: [
        `${DISPATCHER_TESTS}#getEventPayloadMetadata: the schema header is a whole decimal number, or counts as 1 (%s %i)`,
        `${DISPATCHER_TESTS}#VerbatimEventHandlers (%s): path, credential, schema and bytes`,
      ],
    },
    {
      behaviour: "An empty `EventPayloadMetadata` is allowed: schema 3 is sent, no tags.",
      code: `${VENDOR}/outbound.ts#schemaVersion === UNKNOWN ? SCHEMA_SENT`,
      tests: [
        `${PUBLISHER_TESTS}#an empty EventPayloadMetadata says schema 3, as the original; so does a version that is not one; each has its own queue`,
      ],
      differs:
        "a version that is given is sent as it is; the original sends 3 of every payload. `compat.strict` and the dispatcher's `strict` do too.",
    },
    // Publisher.
    {
      behaviour: "`Publish` adds any number of events to the queue; they leave in one payload, in order.",
      code: `${VENDOR}/publisher.ts#publish(metadata: EventMetadata`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 1] HTTPEventPublisherSimple: two publishes leave in one post, in order`,
      ],
    },
    {
      behaviour: "Events are raw JSON: not parsed, not changed.",
      code: `${VENDOR}/outbound.ts#body: ["[", ...body, "]"]`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 1] HTTPEventPublisherSimple: two publishes leave in one post, in order`,
        `${RELAY_TESTS}#[launchdarkly-relay 2] VerbatimEventHandlers (%s): path, credential and bytes`,
      ],
      differs:
        "objects are taken too, and one that cannot be written as JSON is dropped with a warning; Go escapes <, > and & and takes out spaces, we do neither.",
    },
    {
      behaviour: "An event that cannot be written harms no other.",
      code: `${CLIENT}/client.ts#cannot be written as JSON and was dropped`,
      tests: [
        `${PUBLISHER_TESTS}#an event that is not JSON is dropped with a warning, alone; a warning that throws harms nothing`,
      ],
    },
    {
      behaviour: "Each distinct metadata has a queue of its own; all are flushed together, in separate posts.",
      code: `${VENDOR}/publisher.ts#encodeLaunchDarkly(metadata)`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 2] MultiQueuesWithMetadata: each tags and schema is a post of its own, in its own order`,
        `${PUBLISHER_TESTS}#an empty EventPayloadMetadata says schema 3, as the original; so does a version that is not one; each has its own queue`,
      ],
    },
    {
      behaviour: "Queues that are empty at a flush are forgotten when there are several; one alone is kept.",
      code: `${VENDOR}/publisher.ts#of several, those that were not used are forgotten`,
      tests: [
        `${PUBLISHER_TESTS}#5,000 values of the metadata are forgotten at the second flush`,
        `${MEMORY_TESTS}#queues hold no more than they say, and forget values that nobody uses`,
      ],
    },
    {
      behaviour: "`OptionCapacity`: events for each queue; default 1,000.",
      code: `${VENDOR}/publisher.ts#capacity: 1_000`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 7] Capacity: the first that fit are kept, the rest dropped with one warning until a publish fits`,
        `${PUBLISHER_TESTS}#defaults: LaunchDarkly's own address, a flush each minute, 1,000 events for each metadata, 3 seconds for a request`,
      ],
    },
    {
      behaviour:
        "Over the capacity the first events that fit are taken, the rest is dropped, with one warning until a publish fits.",
      code: `${VENDOR}/publisher.ts#Increase capacity to avoid dropping events.`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 7] Capacity: the first that fit are kept, the rest dropped with one warning until a publish fits`,
      ],
    },
    {
      behaviour: "`OptionFlushInterval`: flushes by itself; default a minute; 0 and less are ignored.",
      code: `${VENDOR}/publisher.ts#flushIntervalMs > 0 ? flushIntervalMs`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 5] AutomaticFlush: flushes by itself, every interval`,
        `${PUBLISHER_TESTS}#a flush interval of 0 or less means the default of a minute (%i)`,
        `${PUBLISHER_TESTS}#defaults: LaunchDarkly's own address, a flush each minute, 1,000 events for each metadata, 3 seconds for a request`,
      ],
    },
    {
      behaviour: "`OptionURI` is a base to which `/bulk` is added; slashes at its end do not count.",
      code: `${CLIENT}/client.ts#eventsPath(credential)`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 12] OptionURIPath: a path of the base is kept, slashes at its end are not; each kind has its own path`,
      ],
      differs:
        "the path is that of the credential's kind: `/mobile` for a mobile key, `/events/bulk/<id>` for an environment id.",
    },
    {
      behaviour: "`OptionEndpointURI` is the complete URL.",
      code: `${CLIENT}/client.ts#endpointUri ??`,
      tests: [`${PUBLISHER_TESTS}#[launchdarkly 3] OptionEndpointURI: the URL is used as it is`],
    },
    {
      behaviour: "Without either events go to `https://events.launchdarkly.com/bulk`.",
      code: `${VENDOR}/outbound.ts#"https://events.launchdarkly.com"`,
      tests: [
        `${PUBLISHER_TESTS}#defaults: LaunchDarkly's own address, a flush each minute, 1,000 events for each metadata, 3 seconds for a request`,
      ],
    },
    {
      behaviour: "`NewHTTPEventPublisher` returns an error for what it cannot use.",
      code: `${CLIENT}/client.ts#is not an http or https URL`,
      tests: [
        `${PUBLISHER_TESTS}#options that cannot be used are refused by name: an address that is not a URL, a capacity of 0, an unknown name`,
        `${PUBLISHER_TESTS}#413 loses this payload and no other; keys that LaunchDarkly would not take are refused`,
      ],
      differs: "the constructor throws a `WaybillError`; a key that SDKs would not send is refused too.",
    },
    {
      behaviour: "A request may take 3 seconds.",
      code: `${VENDOR}/publisher.ts#timeoutMs: 3_000`,
      tests: [
        `${PUBLISHER_TESTS}#defaults: LaunchDarkly's own address, a flush each minute, 1,000 events for each metadata, 3 seconds for a request`,
      ],
    },
    {
      behaviour:
        "A payload has its id, the same at each attempt; `Authorization` is the bare key, absent for an environment id.",
      code: `${VENDOR}/outbound.ts#"x-launchdarkly-payload-id"`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 8] ErrorRetry (%s %i): two equal requests a second apart, no third`,
        `${PUBLISHER_TESTS}#[launchdarkly 12] OptionURIPath: a path of the base is kept, slashes at its end are not; each kind has its own path`,
      ],
    },
    {
      behaviour: "A network error, 400, 408, 429 and 5xx: one more attempt after a second, then the payload is lost.",
      code: `${VENDOR}/publisher.ts#const RETRY_MS = 1_000`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 8] ErrorRetry (%s %i): two equal requests a second apart, no third`,
        `${MEMORY_TESTS}#two attempts, a second apart; then the payload is lost and reported`,
      ],
      differs: "redirects are not followed: they count as such a failure.",
    },
    {
      behaviour: "A redirect.",
      code: `${VENDOR}/outbound.ts#if (status < 400 || isRetryable(response))`,
      tests: [
        `${PUBLISHER_TESTS}#an answer that redirects is not followed: a second attempt, then the payload is lost`,
      ],
      differs: "Go follows it; we do not send a credential to an address that nobody configured.",
    },
    {
      behaviour: "Any other 4xx ends sending: 401, 403, 404, 405.",
      code: `${VENDOR}/publisher.ts#giving up until the credential is replaced`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 9] UnrecoverableError: after 401 nothing more is sent, until the credential is replaced`,
        `${PUBLISHER_TESTS}#after a refusal nothing more is sent, until the credential is replaced (%i)`,
        `${PUBLISHER_TESTS}#[launchdarkly 11] UnrecoverableErrorDoesNotBlockFutureProcessing: publish and flush return while it is disabled`,
      ],
      differs:
        "events are discarded meanwhile, and a replaced credential begins again; in 6.9 requests block for ever.",
    },
    {
      behaviour: "413 loses its payload and no other (from 7.3 on).",
      code: `${VENDOR}/outbound.ts#status === 413`,
      tests: [
        `${PUBLISHER_TESTS}#413 loses this payload and no other; keys that LaunchDarkly would not take are refused`,
      ],
    },
    {
      behaviour: "`Flush` attempts to deliver all queued events; without events nothing is sent.",
      code: `${VENDOR}/publisher.ts#async flush()`,
      tests: [`${PUBLISHER_TESTS}#[launchdarkly 6] FlushDoesNothingIfThereAreNoEvents`],
      differs: "it returns a promise that ends when the posts have.",
    },
    {
      behaviour:
        "`ReplaceCredential` counts only for a credential of the same kind, from the next flush on, also for events that wait.",
      code: `${VENDOR}/publisher.ts#if (credential.kind !== this.#credential.kind) return;`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 10] ReplaceCredential: used from the next flush on; one of another kind is ignored`,
      ],
    },
    {
      behaviour: "`Close` waits for what is being sent, and may be called again; what waits in queues is not sent.",
      code: `${VENDOR}/publisher.ts#await Promise.all(this.#sending);`,
      tests: [
        `${PUBLISHER_TESTS}#[launchdarkly 4] ClosesImmediatelyAndOnlyOnce: close twice ends at once, and what waits is not sent`,
        `${PUBLISHER_TESTS}#close waits for the posts on their way, their second attempt too`,
      ],
      differs: "`flushOnClose` sends it.",
    },
    {
      behaviour: "Queues, channels and posts of a flush have no limit.",
      code: `${VENDOR}/publisher.ts#const QUEUES_MAX = 1_000`,
      tests: [
        `${MEMORY_TESTS}#30,000 distinct tags make a thousand queues; the rest is dropped, counted and reported once`,
        `${MEMORY_TESTS}#events are bounded in bytes, tags with them, and the bytes come back when they were posted`,
      ],
      differs:
        "1,000 queues and 32 MiB; beyond that events are dropped and reported, and no caller is blocked. Fifty posts begin in a turn of the event loop.",
    },
    // Dispatcher.
    {
      behaviour:
        "`NewEventDispatcher` takes the keys, the events' configuration, the flags and `eventQueueCleanupInterval`.",
      code: `${CLIENT}/types.ts#export interface EventDispatcherOptions`,
      tests: [
        `${DISPATCHER_TESTS}#defaults: a flush every 5 seconds, 1,000 events for each metadata, no flag known; an interval of 0 means the default`,
        `${DISPATCHER_TESTS}#what cannot be used is refused by name; the entry's own class brings its host along`,
      ],
    },
    {
      behaviour:
        "`GetHandler` gives the handler for a kind of SDK and of events, or nil without a credential of that kind.",
      code: `${CLIENT}/dispatcher.ts#getHandler(sdkKind`,
      tests: [
        `${DISPATCHER_TESTS}#EventDispatcherCreatesHandlersOnlyForConfiguredCredentials`,
        `${RELAY_TESTS}#[launchdarkly-relay 1] EventDispatcherCreatesHandlersOnlyForConfiguredCredentials`,
        `${DISPATCHER_TESTS}#embedded in a server of Node: its headers and its body as they come`,
      ],
      differs: "a function from headers and body to an answer, for any server.",
    },
    {
      behaviour: "Schema 3 and later goes on verbatim, to the path and with the credential of its kind of SDK.",
      code: `${VENDOR}/forwarder.ts#else if (parsed.schema < SUMMARISED_SCHEMA)`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 2] VerbatimEventHandlers (%s): path, credential and bytes`,
        `${DISPATCHER_TESTS}#VerbatimEventHandlers (%s): path, credential, schema and bytes`,
      ],
    },
    {
      behaviour: "Schema 1 and 2 is summarised.",
      code: `${VENDOR}/summarise.ts#export class Summariser`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 3] SummarizingEventHandlers (%s): old events leave as index and summary`,
        `${DISPATCHER_TESTS}#SummarizingEventHandlers (%s): old events leave as index and summary`,
      ],
    },
    {
      behaviour: "A diagnostic is forwarded at once, unread, with the headers of its request.",
      code: `${VENDOR}/forwarder.ts#async #diagnostic(`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 4] DiagnosticEventForwarding (%s): the body and the sender's headers go along`,
        `${DISPATCHER_TESTS}#DiagnosticEventForwarding (%s): at once, with the sender's headers`,
        `${MEMORY_TESTS}#diagnostics that are being posted are bounded; one that cannot be sent is reported and harms nothing`,
      ],
      differs:
        "our own key goes instead of the sender's, cookies and headers of the connection do not; 64 at once in memory; on disk it waits in the log.",
    },
    {
      behaviour: "`ReplaceCredential` of the dispatcher affects the endpoints of that kind of credential only.",
      code: `${VENDOR}/forwarder.ts#replaceCredential(credential`,
      tests: [
        `${DISPATCHER_TESTS}#EventDispatcherReplaceCredential: also for what waits; a kind that it has not and an environment id are ignored`,
        `${RELAY_TESTS}#[launchdarkly-relay 5] EventDispatcherReplaceCredential: replaced keys are used from the next post on, without restart`,
      ],
    },
    {
      behaviour: "`Close` ends the dispatcher; old events that wait are sent.",
      code: `${CLIENT}/dispatcher.ts#close(): Promise<void>`,
      tests: [`${DISPATCHER_TESTS}#close sends what waits, once, and takes nothing more`],
      differs: "new events that wait are sent too; a handler says 503 afterwards.",
    },
    {
      behaviour: "Malformed JSON is answered 202, and nothing is sent.",
      code: `${INBOUND}#if ("code" in framed) return strict`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 6] EventHandlersRejectMalformedJSON (%s): 400 by default, 202 and dropped in strict mode; nothing is sent`,
        `${DISPATCHER_TESTS}#EventHandlersRejectMalformedJSON and EmptyBody: 400, in strict mode 202 for what is malformed; nothing is sent`,
        `${RELAY_TESTS}#in memory and strict: schema 3 is sent, malformed bodies are 202 and dropped`,
      ],
      differs: "400, unless strict: whoever sends it should know.",
    },
    {
      behaviour: "An empty body is 400 with `body may not be empty`.",
      code: `${INBOUND}#body may not be empty`,
      tests: [`${RELAY_TESTS}#[launchdarkly-relay 7] EventHandlersRejectEmptyBody (%s)`],
    },
    // Summaries.
    {
      behaviour:
        "Feature events are counted by flag, variation and version; the first value and default are kept; dates are the lowest and the highest.",
      code: `${VENDOR}/summarise.ts#function count(`,
      tests: [
        `${SUMMARISE_TESTS}#counters are per variation and version; first value and default are kept; dates are lowest and highest`,
        `${PROCESSOR_TESTS}#summariser: CounterForNilVariationIsDistinctFromOthers`,
      ],
    },
    {
      behaviour: "Without a version the counter says `unknown`; the event's variation is not shown.",
      code: `${VENDOR}/summarise.ts#if (version === undefined) return`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 12] SummarizeFeatureEventsForUnknownFlagWithoutVersion: the counter says unknown`,
        `${SUMMARISE_TESTS}#[launchdarkly-relay 16] SummarizeSchemaV2FeatureEventsForUnknownFlag: without a version the event's variation is not shown`,
      ],
    },
    {
      behaviour: "Schema 1: the variation is that of the flag whose value is equal; the version is the event's.",
      code: `${VENDOR}/summarise.ts#this.#options.schema <= 1 ? indexOf`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 8] SummarizeFeatureEventsForExistingFlag: the variation is found by its value, the version is the event's`,
      ],
    },
    {
      behaviour: "Schema 2: variation, tracking and debugging are the event's own.",
      code: `${VENDOR}/summarise.ts#if (trackEvents || debugEventsUntilDate !== 0)`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 14] SummarizeSchemaV2FeatureEventsForExistingFlag: the variation is the event's, whatever the flag's values`,
        `${SUMMARISE_TESTS}#[launchdarkly-relay 15] SummarizeSchemaV2FeatureEvents WithTrackEvents and WithDebugEvents: tracking comes from the event`,
      ],
    },
    {
      behaviour: "A tracked flag's events leave in full, with the user's key, or the user where `inlineUsers` is set.",
      code: `${VENDOR}/summarise.ts#function fullEvent(`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 9] SummarizeFeatureEventsForExistingFlagWithTrackEvents: full events too`,
        `${SUMMARISE_TESTS}#[launchdarkly-relay 10] SummarizeFeatureEventsWithTrackEventsAndInlineUsers: no index, the user in the events`,
        `${DISPATCHER_TESTS}#inlineUsers: summarised events carry their user`,
      ],
    },
    {
      behaviour:
        "Debug events leave until the flag's date, by our clock and by the vendor's, from the `Date` of its last success.",
      code: `${VENDOR}/summarise.ts#debugUntilMs > this.#serverTimeMs`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 11] SummarizeFeatureEventsWithDebugEvents: until the date, by our time and the vendor's`,
        `${MEMORY_TESTS}#debug events end with the vendor's time, from the Date of its answers`,
        `${MEMORY_TESTS}#the Date of an answer that took nothing is not believed`,
        `${SUMMARIES_TESTS}#debug events end with the vendor's time, from the Date of its answers`,
      ],
      differs: "in memory the `Date` of any payload counts for all summarisers: it is one vendor's clock.",
    },
    {
      behaviour:
        "The first event of a user is preceded by an index event; 1,000 users are remembered for five minutes.",
      code: `${VENDOR}/summarise.ts#const USERS_MAX = 1_000`,
      tests: [
        `${SUMMARISE_TESTS}#a user has one index event, another after five minutes, and when a thousand others came in between`,
        `${PROCESSOR_TESTS}#PeriodicUserKeysFlush`,
      ],
      differs:
        "a key of more than 256 characters is not remembered; on disk users count once their batch was delivered, so that a second attempt says the same.",
    },
    {
      behaviour: "Custom, identify and alias events leave in full.",
      code: `${VENDOR}/summarise.ts#if (event.kind === "alias")`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 17] SummarizeCustomEvents: an index and each event with the user's key, data and metric`,
        `${SUMMARISE_TESTS}#[launchdarkly-relay 18] SummarizeCustomEventsWithInlineUsersLeavesEventsUnchanged`,
        `${SUMMARISE_TESTS}#[launchdarkly-relay 19] SummarizeIdentifyEventsLeavesEventsUnchanged and SummarizeAliasEventsLeavesEventsUnchanged`,
      ],
    },
    {
      behaviour:
        "Fields have the original's order; anonymous users are marked as such; value and default are always there.",
      code: `${VENDOR}/summarise.ts#function featureEvent(`,
      tests: [
        `${PROCESSOR_TESTS}#output: each kind has its fields in their order; anonymous users are marked as such`,
        `${PROCESSOR_TESTS}#output: value and default are always there, null where there are none`,
      ],
    },
    {
      behaviour:
        "A malformed event is discarded alone: a wrong type of any field, an unknown kind, a user without a key.",
      code: `${VENDOR}/old-events.ts#export function readOldEvent`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 20] SummarizingRelayDiscardsMalformedEvents: each alone, with its reason; good ones survive`,
        `${RELAY_TESTS}#old events that are malformed are rejected, each alone; the others are delivered`,
        `${MEMORY_TESTS}#old events that are malformed are dropped and reported, each alone`,
      ],
      differs: "on disk it is a dead letter with its reason.",
    },
    {
      behaviour: "Fields that are missing have zero values; a missing user is one with an empty key.",
      code: `${VENDOR}/old-events.ts#if (value === undefined) return { key: "" };`,
      tests: [`${SUMMARISE_TESTS}#what an old event leaves out has the original's zero values`],
    },
    {
      behaviour: "Private attributes of PHP's users are written back as they came; unknown attributes are dropped.",
      code: `${VENDOR}/old-events.ts#read["privateAttrs"] = privateAttrs;`,
      tests: [
        `${SUMMARISE_TESTS}#[launchdarkly-relay 23] CanSeePrivateAttrsOfPHPEventUser: they are written back as they came, unknown attributes are not`,
      ],
    },
    {
      behaviour: "One processor for each metadata: different tags leave apart, each with its own index.",
      code: "packages/relay/src/launchdarkly/summaries.ts#summariserFor(batch.metadata",
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 21] SummarizingRelayProcessesEventsSeparatelyForDifferentTags: two posts, each with its own index`,
        `${RELAY_TESTS}#on disk a summariser is kept over requests: each user has one index event`,
      ],
      differs:
        "64 of them in memory, 100 on disk; a hundred times the capacity of old events may wait for their summary.",
    },
    {
      behaviour:
        "`eventQueueCleanupInterval`: of several processors one that was not used since the last look is closed, which sends what it holds; a later event makes a new one.",
      code: `${VENDOR}/idle-map.ts#export class IdleMap`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 22] SummarizingRelayPeriodicallyClosesInactiveEventProcessors: both are sent without a flush and forgotten; a tag that comes back has a new one, which tells of the user again`,
        `${MEMORY_TESTS}#eventQueueCleanupInterval: what nobody uses is sent and forgotten, without a flush; one that comes back begins anew`,
        `${SUMMARIES_TESTS}#a summariser that nobody uses is forgotten, though no event comes any more (%s)`,
        `${DISPATCHER_TESTS}#eventQueueCleanupIntervalMs: summarisers that nobody uses are forgotten, and what they hold is sent`,
        `${MEMORY_TESTS}#5,000 tags, old and new, leave nothing in memory but one queue at most`,
      ],
    },
    {
      behaviour: "Its default is an hour, or two flush intervals where a flush is longer.",
      code: `${VENDOR}/idle-map.ts#export function cleanupIntervalOf`,
      tests: [
        `${MEMORY_TESTS}#summarisers are kept for an hour, or for two flushes that are longer (%s)`,
        `${OPTIONS_TESTS}#eventQueueCleanupInterval is a time above 0, for launchdarkly alone`,
      ],
    },
    {
      behaviour: "One processor alone is kept.",
      code: `${VENDOR}/idle-map.ts#if (this.#entries.size > 1) this.#arm();`,
      tests: [`${SUMMARIES_TESTS}#one that is used is kept, and one alone too`],
    },
    {
      behaviour: "A summary is sent however full the outbox is.",
      code: `${VENDOR}/forwarder.ts#The summary is the last, and needs no room.`,
      tests: [
        `${RELAY_TESTS}#in memory: 202 before anything is posted, capacity per metadata, summaries beside a full queue, a diagnostic at once, a replaced key, flush at stop`,
      ],
    },
    // The relay around it.
    {
      behaviour:
        "Server routes: `/bulk` and `/diagnostic` with the SDK key, bare or after `api_key`; unknown 401, disabled 503, other methods 405.",
      code: `${INBOUND}#{ pattern: "/bulk", sdk: "server", what: "analytics" }`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 24] server routes: bulk, an unknown or missing key, a disabled environment, wrong methods`,
      ],
    },
    {
      behaviour: "Mobile routes: three paths end at `/mobile`, with the mobile key.",
      code: `${INBOUND}#{ pattern: "/mobile/events/bulk", sdk: "mobile", what: "analytics" }`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 25] mobile routes: every path ends at /mobile with the mobile key; unknown keys, diagnostics, a disabled environment`,
      ],
    },
    {
      behaviour: "JavaScript routes: the environment's id is in the path; an unknown one is 404 without CORS.",
      code: `${INBOUND}#URL did not contain an environment ID`,
      tests: [
        `${RELAY_TESTS}#[launchdarkly-relay 26] JavaScript routes: bulk, diagnostic and pixel, in both alphabets; unknown ids are 404 without CORS; disabled is 503`,
      ],
    },
    {
      behaviour: "The pixel is a GIF whatever it carries; its events are schema 3.",
      code: `${INBOUND}#function pixel(`,
      tests: [
        `${RELAY_TESTS}#the pixel: events in both alphabets with and without padding, as schema 3 under the environment's id; what cannot be read is left out`,
      ],
      differs: "both alphabets of base64, with or without padding: the original loses what its own old SDK sends.",
    },
    {
      behaviour: "CORS: origin, headers, methods, by default and as configured.",
      code: `${INBOUND}#function corsHeaders(`,
      tests: [`${RELAY_TESTS}#[launchdarkly-relay 27] CORS: origin, headers and methods, by default and as configured`],
    },
    {
      behaviour: "Every answer has a `Date`.",
      code: "packages/relay/src/intake/intake-server.ts#const server = createServer(",
      tests: [`${RELAY_TESTS}#every answer has a Date, by which SDKs know the time of the server`],
    },
    {
      behaviour: "Offline mode: events are taken with 202 and dropped.",
      code: "packages/relay/src/launchdarkly/memory-sources.ts#if (memory === undefined) return undefined;",
      tests: [
        `${RELAY_TESTS}#without a destination for them events are taken all the same, as the original's offline mode does`,
      ],
      differs: "a relay without a destination; on disk they are kept for a destination that comes.",
    },
    {
      behaviour: "A gzip body, a large one.",
      code: "packages/relay/src/intake/decoders.ts#create: createGunzip",
      tests: [
        `${RELAY_TESTS}#gzip is taken, a body too large is 413, the SDK's schema version and a duplicate's payload id are kept`,
      ],
      differs: "6.9 reads no gzip and has no limit; later versions do.",
    },
    {
      behaviour: "Flags for summaries come from the environment's store.",
      code: "packages/relay/src/launchdarkly/flags.ts#export function createFlagSource",
      tests: [
        `${RELAY_TESTS}#flag data come from LaunchDarkly through its SDK`,
        `${RELAY_TESTS}#flag data come from a file, read again at a reload; one that cannot be read is reported at the start`,
      ],
      differs: "from LaunchDarkly by its SDK, or from a file; without either every flag is unknown.",
    },
    {
      behaviour:
        "`[Events]` and `[Environment]`: sendEvents, eventsUri, flushInterval 5s, capacity 1,000, inlineUsers, keys, origins, headers.",
      code: "packages/relay/src/config/resolve.ts#function resolveSource",
      tests: [
        `${OPTIONS_TESTS}#defaults: events are taken, to disk, for LaunchDarkly's own address, users by their key, no flag data`,
        `${OPTIONS_TESTS}#memory is a capacity above 0 and a flush interval`,
        `${MEMORY_TESTS}#a timed flush: every 5 seconds by default, or as often as configured`,
        `${MEMORY_TESTS}#defaults: 1,000 events for each value of the metadata, LaunchDarkly's own address, users by their key`,
      ],
      differs: "events are taken unless `sendEvents` is false.",
    },
    {
      behaviour: "Environment variables `USE_EVENTS`, `EVENTS_*`, `LD_*`.",
      code: "docs/guide/launchdarkly.md#| `EVENTS_FLUSH_INTERVAL`",
      tests: [
        `${OPTIONS_TESTS}#the page names settings that are there, every variable of the original, and a configuration that is right`,
      ],
      differs: "they are not read; the guide says where each one's value goes.",
    },
    {
      behaviour: "A new key takes effect without a restart.",
      code: "packages/relay/src/launchdarkly/memory-relay.ts#this.#forwarder.replaceCredential",
      tests: [
        "packages/relay/test/lifecycle/reload.heavy.test.ts#a source in memory follows its settings and its destination; what waited is posted before",
        "packages/relay/test/lifecycle/reload.heavy.test.ts#a reload of a source in memory holds at once: capacity, environment id, a mobile key that comes or goes, users inline",
        "packages/relay/test/lifecycle/reload.heavy.test.ts#in memory an environment id alone, changed by a reload, is where events go from then on",
      ],
      differs: "so does every other setting; what waited under the old ones is posted before.",
    },
  ],
};
