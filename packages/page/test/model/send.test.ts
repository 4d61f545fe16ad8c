import { expect, test } from "vitest";
import { curlOf } from "../../src/model/curl.ts";
import { intakeOf } from "../../src/model/intake.ts";
import { settingRows } from "../../src/model/settings.ts";
import { PROTOCOLS, snippetsOf } from "../../src/model/snippets.ts";

const intake = "http://relay.test:8080";

test("each vendor's own SDK is shown with this relay's address and the name of the key", () => {
  expect(PROTOCOLS).toHaveLength(9);
  for (const protocol of PROTOCOLS) {
    const snippets = snippetsOf({ protocol, source: "mobile-app", intake });
    expect(snippets.length, protocol).toBeGreaterThan(0);
    for (const { text, title } of snippets) {
      expect(text, title).toContain("relay.test:8080");
      expect(text, title).toContain("KEY_OF_MOBILE_APP");
    }
  }
});

test("an event becomes a curl command that a shell takes as it is", () => {
  const event = { type: "track", userId: "o'brien", event: "Hello" };
  const text = curlOf({ event, protocol: "segment", intake });
  expect(text).toContain("curl 'http://relay.test:8080/v1/batch'");
  expect(text).toContain('-u "$KEY:"');
  expect(text).toContain("o'\\''brien");
  expect(curlOf({ event, protocol: "posthog", intake })).toContain(`"api_key":"'"$KEY"'"`);
});

test("the address is the configured one, with the reader's host where it is that of all", () => {
  const page = { hostname: "relay.internal", protocol: "http:" };
  expect(intakeOf({ config: { listen: "0.0.0.0:9000" } }, page)).toBe("http://relay.internal:9000");
  expect(intakeOf({ config: { listen: { host: "127.0.0.1", port: 9000 } } }, page)).toBe("http://127.0.0.1:9000");
  expect(intakeOf(undefined, page)).toBe("http://relay.internal:8080");
});

test("settings are one row each, with their units, and whole in the title", () => {
  const rows = settingRows({ retry: { maxAttempts: 5, giveUpAfterMs: 3_600_000 }, maxBytes: 1_048_576, proxy: null });
  expect(rows).toEqual([
    { name: "retry.maxAttempts", shown: "5", whole: "5" },
    { name: "retry.giveUpAfterMs", shown: "1 h", whole: "3600000" },
    { name: "maxBytes", shown: "1 MiB", whole: "1048576" },
    { name: "proxy", shown: "not set", whole: "null" },
  ]);
});
