/** Rotated credentials, in both directions, without a restart. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { nodeClock } from "@waybill/node";
import { startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, configOf, destination, JSON_TYPE, KEY, send, startWorld, until } from "../lib/world.ts";

/** No test takes so long. */
const GRACE_MS = 3_600_000;
const track = (messageId: string): object => ({ type: "track", messageId, event: "E", userId: "u" });
const basic = (key: string): Record<string, string> => ({ authorization: `Basic ${btoa(`${key}:`)}` });

test("under load an inbound key is rotated: no valid key is refused, nothing is lost or doubled", async () => {
  const { relay, emulator } = await startWorld();
  const refused: number[] = [];
  let sent = 0;
  let rotated = 0;
  let running = true;
  const senders = [KEY, "new-1", "new-2"].map(async (key, index) => {
    while (running) {
      // A new key is sent only once it is valid, as a deploy does.
      if (index > rotated) {
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      const { status } = await send(relay.intakeUrl, "POST", "/v1/track", track(`m-${sent++}`), basic(key));
      if (status !== 200) refused.push(status);
    }
  });
  const more = async (): Promise<void> => {
    const before = sent;
    await until(() => sent > before + 50);
  };
  for (const key of ["new-1", "new-2"]) {
    await more();
    const path = "/v1/sources/test/web/rotate";
    const answer = await send(relay.adminUrl, "POST", path, { key, graceMs: 60_000 }, JSON_TYPE);
    expect(answer).toMatchObject({ status: 200, json: { rotated: true } });
    expect(answer.text).not.toContain(key);
    rotated += 1;
  }
  await more();
  running = false;
  await Promise.all(senders);
  await until(() => relay.accounts().lanes[0]?.account.pending === 0);
  expect(refused).toEqual([]);
  expect([emulator.received, emulator.duplicates]).toEqual([sent, 0]);
});

test("after the grace the old key is refused, and one that expires by its configuration too", async () => {
  let aheadMs = 0;
  const soon = new Date(nodeClock.now() + GRACE_MS / 2).toISOString();
  const { relay } = await startWorld({
    clock: { ...nodeClock, now: () => nodeClock.now() + aheadMs },
    sources: { web: { protocol: "segment", writeKeys: [KEY, { key: "temporary", expires: soon }] } },
  });
  const status = async (key: string): Promise<number> =>
    (await send(relay.intakeUrl, "POST", "/v1/track", track(key), basic(key))).status;
  expect([await status(KEY), await status("temporary")]).toEqual([200, 200]);
  await send(relay.adminUrl, "POST", "/v1/sources/test/web/rotate", { key: "new", graceMs: GRACE_MS }, JSON_TYPE);
  expect([await status("new"), await status(KEY)]).toEqual([200, 200]);
  aheadMs = GRACE_MS / 2;
  expect([await status("new"), await status(KEY), await status("temporary")]).toEqual([200, 200, 401]);
  aheadMs = GRACE_MS;
  expect([await status("new"), await status(KEY), await status("temporary")]).toEqual([200, 401, 401]);
});

test("an outbound key is rotated under load: the next attempts use it, nothing is lost or doubled", async () => {
  const { relay, emulator, post } = await startWorld({ emulatorKeys: ["outbound"] });
  for (let index = 0; index < 100; index++) {
    if (index === 30) emulator.rotate(["second"]);
    if (index === 60)
      expect(
        (
          await send(
            relay.adminUrl,
            "POST",
            "/v1/destinations/test/emulator/rotate",
            { key: "second", graceMs: 0 },
            JSON_TYPE,
          )
        ).status,
      ).toBe(200);
    expect((await post("/v1/track", track(`m-${index}`), BASIC)).status).toBe(200);
  }
  await until(() => relay.accounts().lanes[0]?.account.pending === 0);
  expect([emulator.received, emulator.duplicates]).toEqual([100, 0]);
});

test("a new outbound key that the vendor refuses gives way to the one before, while its grace lasts", async () => {
  const { relay, post } = await startWorld({ emulatorKeys: ["outbound"] });
  await send(
    relay.adminUrl,
    "POST",
    "/v1/destinations/test/emulator/rotate",
    { key: "mistyped", graceMs: 60_000 },
    JSON_TYPE,
  );
  await post("/v1/track", track("1"), BASIC);
  await until(() => relay.accounts().lanes[0]?.account.pending === 0);
  expect(relay.accounts().lanes[0]?.account).toMatchObject({ delivered: 1, balanced: true });
});

test("a rotation holds over a reload and a restart until the file has the new key; the admin API shows it without the key", async () => {
  const lines: string[] = [];
  const say = (...parts: readonly unknown[]): void => void lines.push(JSON.stringify(parts));
  const logger = { level: "info", info: say, warn: say, error: say, debug: say } as never;
  const permissions = { files: "0644", directories: "0755" };
  const emulatorKeys = ["outbound"];
  const { relay, directory, server, config, emulator } = await startWorld({
    logger,
    extra: { permissions },
    emulatorKeys,
  });
  emulator.rotate(["secret-out"]);
  const rotate = (path: string, key: string): Promise<unknown> =>
    send(relay.adminUrl, "POST", path, { key, graceMs: 0 }, JSON_TYPE);
  await rotate("/v1/sources/test/web/rotate", "secret-in");
  await rotate("/v1/destinations/test/emulator/rotate", "secret-out");
  const known = async (url: string, key: string): Promise<boolean> =>
    (await send(url, "POST", "/v1/track", track(key), basic(key))).status === 200;
  const fingerprint = (key: string): string => createHash("sha256").update(key).digest("hex").slice(0, 8);
  const shown = [
    { environment: "test", source: "web", fingerprint: fingerprint("secret-in"), inUse: true },
    { environment: "test", destination: "emulator", fingerprint: fingerprint("secret-out"), inUse: true },
  ];
  const changed = configOf(directory, server.url, { extra: { permissions, log: { level: "warn" } } });
  const result = await relay.reload(changed);
  expect(result.changed).toEqual(["log.level changed"]);
  expect(result.rotations).toEqual([
    expect.stringMatching(/^source test\/web: .* wins/),
    expect.stringMatching(/^destination test\/emulator: .* wins/),
  ]);
  expect([await known(relay.intakeUrl, KEY), await known(relay.intakeUrl, "secret-in")]).toEqual([false, true]);
  const views = await send(relay.adminUrl, "GET", "/v1/rotations", "", {});
  expect(views.json).toMatchObject(shown);
  expect(views.text).not.toContain("secret");
  expect((statSync(`${directory}/data/.rotations`).mode & 0o777).toString(8)).toBe("600");
  await relay.stop();

  const again = await startRelay(config, { logger });
  onTestFinished(() => again.stop());
  expect([await known(again.intakeUrl, KEY), await known(again.intakeUrl, "secret-in")]).toEqual([false, true]);
  await send(again.intakeUrl, "POST", "/v1/track", track("fresh"), basic("secret-in"));
  await until(() => emulator.received === 2);
  const sources = { web: { protocol: "segment", writeKeys: ["secret-in"] } };
  const withKeys = configOf(directory, server.url, {
    sources,
    extra: { permissions },
    destinations: (url) => ({ emulator: { ...destination(url), writeKey: "secret-out" } }),
  });
  expect((await again.reload(withKeys)).rotations).toEqual([
    expect.stringMatching(/^source test\/web: .* is in the file now/),
    expect.stringMatching(/^destination test\/emulator: .* is in the file now/),
  ]);
  expect((await send(again.adminUrl, "GET", "/v1/rotations", "", {})).json).toEqual([]);
  expect((await again.reload(withKeys)).rotations).toBeUndefined();
  expect(lines.join()).toMatch(/source test\/web: the key that the admin API rotated in at/);
  expect(lines.join()).not.toContain("secret");
});

test("a reload brings the file's keys; wrong requests to rotate are refused", async () => {
  const { relay, directory, server } = await startWorld();
  await send(relay.adminUrl, "POST", "/v1/sources/test/web/rotate", { key: "by-admin" }, JSON_TYPE);
  const status = async (key: string): Promise<number> =>
    (await send(relay.intakeUrl, "POST", "/v1/track", track(key), basic(key))).status;
  expect(await status("by-admin")).toBe(200);
  await relay.reload(
    configOf(directory, server.url, { sources: { web: { protocol: "segment", writeKeys: ["by-file"] } } }),
  );
  expect([await status("by-admin"), await status("by-file")]).toEqual([401, 200]);
  for (const [path, body, expected] of [
    ["/v1/sources/test/web/rotate", {}, 400],
    ["/v1/sources/test/web/rotate", { key: "k", graceMs: -1 }, 400],
    ["/v1/sources/test/nobody/rotate", { key: "k" }, 404],
    ["/v1/sources/test/web/rotate", { key: "k", kind: "mobile" }, 404],
    ["/v1/destinations/test/nobody/rotate", { key: "k" }, 404],
  ] as const)
    expect((await send(relay.adminUrl, "POST", path, body, JSON_TYPE)).status, path).toBe(expected);
});
