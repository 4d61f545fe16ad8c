/**
 * Events that were taken and are hostile to what comes after: translation, filter, sample,
 * redaction, request.
 */
import { WRAP } from "../lib/bodies.ts";
import { check, cut, until } from "../lib/check.ts";
import { eventsOf, launchdarklyEvents, segmentEvents, trackWithoutText } from "../lib/hostile-events.ts";
import { flood, statuses } from "../lib/http.ts";
import type { Relay } from "../lib/relay.ts";
import { configOf, EVERY_SOURCE, EVERYWHERE, everyDestination, KEYS, sceneOf, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Scene, track, unblocked } from "../lib/stage.ts";

const PER_REQUEST = 40;
const DRAINED_MS = 20_000;
const LONG_NAME_CHARACTERS = 400_000;

/** Takes out what a destination must not see. */
const REDACTING: Scene = sceneOf("redacting", ({ good, bad }) => ({
  sources: EVERY_SOURCE,
  destinations: {
    good: segmentTo(good),
    bad: segmentTo(bad, { redact: ["context.ip", "context.device.id", "properties.email", "traits.email"] }),
  },
}));

/** Patterns with many stars. */
const PATTERNS: Scene = sceneOf("patterns", ({ good, bad }) => ({
  destinations: {
    good: segmentTo(good),
    bad: segmentTo(bad, {
      filter: { include: ["*Order*Completed*", "*a*a*a*a*a*a*a*a*b", "*".repeat(200)], exclude: ["*x*y*x*y*x*y*z"] },
    }),
  },
}));

export async function sendTexts(relay: Relay, events: readonly string[]): Promise<void> {
  for (let at = 0; at < events.length; at += PER_REQUEST) {
    const body = `{"batch":[${events.slice(at, at + PER_REQUEST).join(",")}]}`;
    const { status, text } = await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
    check(status === 200 || (status >= 400 && status < 500), `answered ${status} ${cut(text)}`);
  }
}

/** Every lane has given every event an outcome, and none was stopped by a defect. */
export async function drained(relay: Relay, ms: number = DRAINED_MS): Promise<void> {
  let waiting = "";
  const look = async (): Promise<boolean> => {
    if (relay.isEnded) return true;
    const { lanes } = await relay.accounts();
    const left = lanes.filter(({ account }) => account.pending > 0);
    waiting = left
      .map(
        ({ destination, mode, account, lastError }) =>
          `${destination} ${mode} ${account.pending}: ${cut(lastError ?? "", 80)}`,
      )
      .join("; ");
    return left.length === 0;
  };
  await until(look, ms, () => `lanes have events without an outcome: ${waiting}`);
  check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
}

export const events: readonly Attack[] = [
  {
    name: "event-without-text",
    holds: 'an event of {"toString":null} ends as an outcome at every destination',
    scene: EVERYWHERE,
    quick: true,
    async run({ relay }) {
      await sendTexts(relay, [trackWithoutText(newId())]);
      await drained(relay);
    },
  },
  {
    name: "sample-of-user-without-text",
    holds: "a userId that has no text is in the sample or out of it, and stops nothing",
    scene: EVERYWHERE,
    quick: true,
    async run({ relay }) {
      for (const id of ['{"toString":null}', "[[[]]]", "{}", "null", '{"valueOf":1,"toString":[]}'])
        await sendTexts(relay, [
          `{"type":"track","event":"E","userId":${id},"anonymousId":${id},"messageId":"${newId()}"}`,
        ]);
      await drained(relay);
    },
  },
  {
    name: "redact-of-non-objects",
    holds: "redaction of LaunchDarkly events that are numbers, null, texts or lists stops nothing",
    scene: EVERYWHERE,
    quick: true,
    async run({ relay }) {
      for (const body of [
        "[1]",
        "[null]",
        '["x"]',
        "[[1]]",
        "[[null]]",
        "[true]",
        "[[]]",
        '[{"user":null},{"user":1},{"user":[]}]',
      ])
        for (const schema of ["1", "2", "3", "4"]) {
          const headers = { authorization: KEYS.launchdarkly, "x-launchdarkly-event-schema": schema };
          const { status } = await relay.ask({ path: "/bulk", headers, body });
          check(status === 202 || status === 400, `${body}: answered ${status}`);
        }
      await drained(relay);
    },
  },
  {
    name: "events-hostile-segment",
    holds: "every field of a Segment event with every hostile value has an outcome at every destination",
    scene: EVERYWHERE,
    async run({ relay }) {
      await sendTexts(
        relay,
        segmentEvents(() => newId()),
      );
      await drained(relay, 30_000);
    },
  },
  {
    name: "events-hostile-launchdarkly",
    holds: "the same for LaunchDarkly's events, of old and new schemas",
    scene: EVERYWHERE,
    async run({ relay }) {
      const hostile = launchdarklyEvents();
      for (const schema of ["1", "2", "4", "__proto__", "1e9"])
        for (let at = 0; at < hostile.length; at += 100) {
          const headers = { authorization: KEYS.launchdarkly, "x-launchdarkly-event-schema": schema };
          const { status } = await relay.ask({
            path: "/bulk",
            headers,
            body: `[${hostile.slice(at, at + 100).join(",")}]`,
          });
          check(status === 202 || status === 400, `answered ${status}`);
        }
      await drained(relay, 30_000);
    },
  },
  ...["letter", "getfluxly", "trophy", "valued", "posthog"].map(
    (protocol): Attack => ({
      name: `events-hostile-${protocol}`,
      holds: `the same for the events of ${protocol}`,
      scene: EVERYWHERE,
      async run({ relay }) {
        const { path, headers, event, wrap } = WRAP[protocol] as (typeof WRAP)[string];
        const hostile = eventsOf(protocol, event);
        const { byStatus } = await flood(hostile.length, 8, (index) => ({
          port: relay.port,
          path,
          headers,
          body: wrap(hostile[index] ?? ""),
          timeoutMs: 12_000,
        }));
        check(!byStatus.has(0) && !byStatus.has(500), `answered ${statuses(byStatus)}`);
        await drained(relay, 30_000);
      },
    }),
  ),
  {
    name: "hostile-events-after-restart",
    holds: "events that wait for hostile work do not end the next start, nor the one after it",
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor();
      const directory = stage.directory();
      const destinations = { good: segmentTo(good), ...everyDestination(bad, directory) };
      const config = configOf(directory, { sources: EVERY_SOURCE, destinations });
      const first = await stage.launch({ directory, config });
      for (const name of Object.keys(destinations)) await first.admin("POST", `/v1/lanes/attack/${name}/pause`);
      const ids = [newId(), newId(), newId()];
      await stage.send([track(ids[0] ?? "")], first);
      await sendTexts(first, [
        trackWithoutText(newId()),
        `{"type":"track","event":"E","userId":{"toString":null},"messageId":"${newId()}"}`,
      ]);
      await first.ask({ path: "/bulk", headers: { authorization: KEYS.launchdarkly }, body: "[[1],[null],1]" });
      await stage.send([track(ids[1] ?? "")], first);
      for (let start = 0; start < 2; start++) {
        await stage.relays.at(-1)?.kill();
        const relay = await stage.launch({ directory, config });
        for (const name of Object.keys(destinations)) await relay.admin("POST", `/v1/lanes/attack/${name}/resume`);
        await drained(relay);
      }
      await stage.verify(stage.relays.at(-1), good);
    },
  },
  {
    name: "patterns-with-stars",
    holds: "filters with many stars match names of 400,000 characters in linear time",
    scene: PATTERNS,
    async run({ relay }) {
      const names = [
        "Order ".repeat(LONG_NAME_CHARACTERS / 6),
        "a".repeat(LONG_NAME_CHARACTERS),
        "xy".repeat(LONG_NAME_CHARACTERS / 2),
      ];
      for (const name of names)
        await unblocked(relay, `a name of ${name.length} characters`, async () => {
          const body = JSON.stringify({ batch: [track(newId(), { event: name })] });
          await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
          await drained(relay, 30_000);
        });
    },
  },
  {
    name: "redact-context-beside-batch",
    holds: "a redacted field does not reach the destination in the context that is beside the batch",
    scene: REDACTING,
    quick: true,
    async run({ relay, bad }) {
      const secret = newId("secret");
      const context = { ip: secret, device: { id: secret }, page: { url: "kept" } };
      for (const body of [
        { context, batch: [track(newId())] },
        { batch: [track(newId())], context },
        { batch: [track(newId(), { context, properties: { email: secret } })] },
        { context, batch: [track(newId(), { context: { locale: "de" } }), track(newId())] },
      ])
        await relay.ask({ path: "/v1/batch", headers: basic(KEY), body: JSON.stringify(body) });
      await drained(relay);
      check(bad.received > 0, "nothing was delivered");
      check(!bad.text.includes(secret), `the redacted value was sent: ${cut(bad.text, 300)}`);
    },
  },
  {
    name: "redact-by-other-spellings",
    holds: "a redacted field written with escapes, twice, or of another type does not get through",
    scene: REDACTING,
    async run({ relay, bad }) {
      const secret = newId("secret");
      const texts = [
        `{"type":"track","event":"E","userId":"u","messageId":"${newId()}","context":{"\\u0069p":"${secret}"}}`,
        `{"type":"track","event":"E","userId":"u","messageId":"${newId()}","context":{"ip":"x"},"context":{"ip":"${secret}"}}`,
        `{"type":"track","event":"E","userId":"u","messageId":"${newId()}","\\u0063ontext":{"ip":["${secret}"],"ip":{"a":"${secret}"}}}`,
      ];
      await sendTexts(relay, texts);
      const beside = `{"batch":[${trackWithoutText(newId())}],"\\u0063ontext":{"\\u0069p":"${secret}"}}`;
      await relay.ask({ path: "/v1/batch", headers: basic(KEY), body: beside });
      await drained(relay);
      check(!bad.text.includes(secret), `the redacted value was sent: ${cut(bad.text, 300)}`);
    },
  },
];
