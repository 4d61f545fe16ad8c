/**
 * Settings that are valid but probably not intended: reported with their path, at the check, the
 * start and a reload.
 */

import { startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { configOf, destination, startWorld } from "../lib/world.ts";

function warningsOf(destinations: object, more: object = {}, protocol = "segment"): readonly string[] {
  const sources = { web: { protocol, writeKeys: ["k"] } };
  const text = JSON.stringify({ environments: { e: { sources, destinations } }, ...more });
  return loadConfig({ file: "f", text, env: {} }).warnings ?? [];
}

const segment = (more: object): object => ({ vendor: "segment", writeKey: "x", ...more });

test.each([
  ["http://127.0.0.1:9", true],
  ["http://localhost:9", true],
  ["http://LocalHost./x", true],
  ["http://api.localhost", true],
  ["http://127.1", true],
  ["http://[::1]:9", true],
  ["http://[::ffff:10.0.0.1]", true],
  ["https://10.0.0.1", true],
  ["http://169.254.169.254", true],
  ["https://api.segment.io", false],
  ["https://1.1.1.1", false],
  ["https://localhost.example.com", false],
])("a destination at %s is warned of: %s", (url, isWarned) => {
  const expected = isWarned
    ? [
        expect.stringMatching(
          /^f:1:\d+ environments\.e\.destinations\.d\.url: is at a private address, .*; network\.allowPrivateAddresses: true allows/,
        ),
      ]
    : [];
  expect(warningsOf({ d: segment({ url }) })).toEqual(expected);
  expect(warningsOf({ d: segment({ url }) }, { network: { allowPrivateAddresses: true } })).toEqual([]);
});

test("LaunchDarkly's flagsUrl and an http destination are looked at too", () => {
  const warnings = warningsOf({
    flags: { vendor: "launchdarkly", writeKey: "x", flagsFromVendor: true, flagsUrl: "http://localhost:1" },
    hook: { vendor: "http", url: "http://192.168.0.1/x?y" },
    file: { vendor: "file", path: "/tmp/x" },
  });
  expect(warnings.map((line) => /destinations\.(\S+): is at a private/.exec(line)?.[1])).toEqual([
    "flags.flagsUrl",
    "hook.url",
  ]);
});

test.each<[string, string, string | undefined]>([
  ["segment", "properties.email", undefined],
  ["segment", "context", undefined],
  ["segment", "userId", undefined],
  ["segment", "email", "matches no field that events of segment have at their top; did you mean properties.email or"],
  ["segment", "propertys.email", "matches no field"],
  ["segment", "userId.x", "can match nothing: userId has no fields of its own; userId takes it out whole"],
  ["segment", "$.properties.email", "can match nothing: names are joined by dots"],
  ["segment", "properties.*", "can match nothing: names are joined by dots"],
  ["segment", "properties.items[0].email", "can match nothing"],
  ["segment", "/properties/email", "can match nothing"],
  ["segment", " properties.email", "can match nothing"],
  ["letter", "email", undefined],
  ["getfluxly", "user_id", undefined],
  ["trophy", "user.email", undefined],
  ["trophy", "metric", "matches no field that events of trophy have"],
  ["valued", "customer.name", undefined],
  ["launchdarkly", "context.email", undefined],
  ["launchdarkly", "properties.email", "matches no field that events of launchdarkly have"],
  ["posthog", "properties.$set.email", undefined],
  ["posthog", "$set.email", undefined],
])("redact with a source of %s: %j", (protocol, path, warning) => {
  const expected =
    warning === undefined ? [] : [expect.stringContaining(`environments.e.destinations.d.redact.1: ${warning}`)];
  const first = { letter: "userId", getfluxly: "event", trophy: "value", valued: "key", launchdarkly: "kind" }[
    protocol
  ];
  expect(warningsOf({ d: segment({ redact: [first ?? "event", path] }) }, {}, protocol)).toEqual(expected);
});

test("a path that another one takes out already is warned of, in either order and when it is repeated", () => {
  const lines = warningsOf({ d: segment({ redact: ["context.ip", "context", "traits.a", "traits.a", "traits.ab"] }) });
  expect(lines.map((line) => /redact\.(\d): has nothing left to match: (\S+) takes/.exec(line)?.slice(1))).toEqual([
    ["0", "context"],
    ["3", "traits.a"],
  ]);
});

test("the start and a reload log it", async () => {
  const lines: string[] = [];
  const say = (_fields: object, line: string): void => void lines.push(line);
  const ignore = (): undefined => undefined;
  const logger = { level: "info", info: ignore, error: ignore, debug: ignore, warn: say } as never;
  const world = await startWorld();
  await world.relay.stop();
  const config = (redact: string): ReturnType<typeof configOf> =>
    configOf(world.directory, world.server.url, {
      destinations: (url) => ({ emulator: destination(url, { redact: [redact] }) }),
    });
  const relay = await startRelay(config("email"), { logger });
  onTestFinished(() => relay.stop());
  expect(lines).toEqual([expect.stringContaining("redact.0: matches no field")]);
  await relay.reload(config("userId.x"));
  expect(lines.slice(1)).toEqual([expect.stringContaining("redact.0: can match nothing: userId")]);
});
