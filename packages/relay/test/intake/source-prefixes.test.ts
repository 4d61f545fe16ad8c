/** Sources of one name in several environments, and what a client hears whose key is not known. */
import { expect, test } from "vitest";
import { destination, KEY, send, startWorld } from "../lib/world.ts";

const basic = (key: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${key}:`)}` });
const BODY = { batch: [{ type: "track", event: "E", userId: "u" }] };

async function twoEnvironments(): Promise<Awaited<ReturnType<typeof startWorld>>> {
  const destinations = { emulator: destination("http://127.0.0.1:9") };
  const open = { protocol: "segment", keyless: true };
  return startWorld({
    extra: {
      environments: {
        production: {
          sources: { web: { ...open, writeKeys: [KEY] }, ios: { ...open, writeKeys: ["ios-key"] } },
          destinations,
        },
        staging: { sources: { web: { ...open, writeKeys: ["staging-key"] } }, destinations },
      },
    },
  });
}

test("sources of one name have a prefix with their environment each; the short one is for names that are unique", async () => {
  const { relay } = await twoEnvironments();
  const post = async (path: string): Promise<number> => (await send(relay.intakeUrl, "POST", path, BODY, {})).status;
  expect(await post("/s/production/web/v1/batch")).toBe(200);
  expect(await post("/s/staging/web/v1/batch")).toBe(200);
  expect(await post("/s/staging/web/v1/batch")).toBe(200);
  expect(await post("/s/ios/v1/batch")).toBe(200);
  expect(await post("/s/production/ios/v1/batch")).toBe(200);
  const accepted = relay.accounts().sources.map((one) => [one.environment, one.source, one.accepted]);
  expect(accepted).toEqual([
    ["production", "web", 1],
    ["production", "ios", 2],
    ["staging", "web", 2],
  ]);
  const shared = await send(relay.intakeUrl, "POST", "/s/web/v1/batch", BODY, {});
  expect(shared.status).toBe(404);
  expect(shared.text).toContain(
    "Several environments have a source web; send to /s/production/web/ or /s/staging/web/ instead.",
  );
  expect((await send(relay.intakeUrl, "POST", "/s/tv/v1/batch", BODY, {})).text).toContain("There is no");
});

test("the answer to a refused key names what was looked for, and where", async () => {
  const { relay } = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: [KEY] },
      mail: { protocol: "letter", writeKeys: ["lt_in"] },
      hog: { protocol: "posthog", writeKeys: ["phc"] },
    },
  });
  const refused = async (path: string, body: unknown, headers: Record<string, string>): Promise<string> => {
    const { status, text } = await send(relay.intakeUrl, "POST", path, body, headers);
    expect(status, path).toBe(401);
    return text;
  };
  const place = "as Basic authorization or as writeKey in the body";
  expect(await refused("/v1/batch", BODY, basic("nobody"))).toContain(
    `No source has this key. It was looked for ${place}`,
  );
  expect(await refused("/v1/batch", { ...BODY, writeKey: "nobody" }, {})).toContain(
    `No source has this key. It was looked for ${place}`,
  );
  expect(await refused("/v1/batch", BODY, {})).toContain(`There is no key: send it ${place}`);
  expect(await refused("/s/web/v1/batch", BODY, basic("nobody"))).toContain("The source web does not have this key.");
  expect(await refused("/s/mail/v1/track", {}, { authorization: "Bearer nobody" })).toContain(
    "The source mail does not have this key. It was looked for as a Bearer token in Authorization.",
  );
  expect(await refused("/batch/", { api_key: "nobody", batch: [{ event: "e" }] }, {})).toContain(
    "No source has this key. It was looked for as api_key in the body.",
  );
});
