/** The configuration as it is shown and checked: without a secret, and without an effect. */
import { readdirSync } from "node:fs";
import { WaybillError } from "@waybill/core";
import type { RelayConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import { type Answered, configOf, destination, JSON_TYPE, type RelayWorld, send, startWorld } from "../lib/world.ts";

const SECRET = "a-secret-of-ours";
const TOKEN = { authorization: `Bearer ${SECRET}` };
const ADMIN = { listen: "127.0.0.1:0", token: SECRET, readOnlyToken: `${SECRET}-too` };
const SOURCES = {
  web: { protocol: "segment", writeKeys: [SECRET, { key: `${SECRET}-2`, expires: "2099-01-01T00:00:00Z" }] },
};

const destinations = (url: string): Record<string, unknown> => ({
  emulator: destination(url, { writeKey: SECRET, proxy: `http://user:${SECRET}@127.0.0.1:9` }),
  flags: { vendor: "launchdarkly", url, writeKey: SECRET },
});
const OPTIONS = { sources: SOURCES, destinations, extra: { admin: ADMIN } };

function check({ relay }: RelayWorld, body: object | "" = ""): Promise<Answered> {
  const type = body === "" ? {} : JSON_TYPE;
  return send(relay.adminUrl, "POST", "/v1/config/check", body, { ...TOKEN, ...type });
}

/** With a file that is `wanted` now. */
async function startWith(wanted: (world: RelayWorld) => RelayConfig): Promise<RelayWorld> {
  const world: RelayWorld = await startWorld({
    ...OPTIONS,
    configFile: "/etc/waybill.yaml",
    reloadConfig: async () => wanted(world),
  });
  return world;
}

test("the configuration in force is shown with every value and no secret", async () => {
  const world = await startWith(({ config }) => config);
  const { status, text, json } = await send(world.relay.adminUrl, "GET", "/v1/config", "", TOKEN);
  expect(status).toBe(200);
  expect(text).not.toContain(SECRET);
  expect(json).toMatchObject({
    file: "/etc/waybill.yaml",
    lastReload: null,
    config: {
      listen: "127.0.0.1:0",
      admin: { token: "(secret)", readOnlyToken: "(secret)" },
      retention: { maxAgeMs: 604_800_000 },
      permissions: { files: "0600", directories: "0700" },
      environments: {
        test: {
          sources: { web: { protocol: "segment", keys: 2 } },
          destinations: { emulator: { vendor: "segment", writeKey: "(secret)", outbound: "(set by proxy or ca)" } },
        },
      },
    },
  });
});

test("the last reload is shown, also one that failed", async () => {
  let isBad = true;
  const world = await startWith(({ config }) => {
    if (isBad) throw new WaybillError("WAYBILL_CONFIG", "The file is wrong");
    return { ...config, logLevel: "debug" };
  });
  const last = async (): Promise<unknown> =>
    (await send(world.relay.adminUrl, "GET", "/v1/config", "", TOKEN)).json["lastReload"];
  await send(world.relay.adminUrl, "POST", "/v1/reload", "", TOKEN);
  expect(await last()).toMatchObject({ ok: false, messages: ["The file is wrong"] });
  isBad = false;
  await send(world.relay.adminUrl, "POST", "/v1/reload", "", TOKEN);
  expect(await last()).toMatchObject({ ok: true, messages: ["log.level changed"] });
});

test("a check tells what would change, and changes nothing", async () => {
  const world = await startWith(({ directory, server, config }) => ({
    ...config,
    ...configOf(directory, server.url, {
      sources: { web: { protocol: "segment", writeKeys: ["another-key"] }, app: SOURCES.web },
      destinations: (url) => ({ emulator: destination(url, { writeKey: "x" }), more: destination(url) }),
      extra: { admin: { listen: "127.0.0.1:9", token: SECRET }, retention: { maxAge: "3d" } },
    }),
  }));
  const before = JSON.stringify(world.relay.accounts().lanes.map((lane) => lane.destination));
  const files = readdirSync(`${world.directory}/data/test/lanes`);
  const { status, json } = await check(world);
  expect(status).toBe(200);
  expect(json).toEqual({
    ok: false,
    faults: [],
    warnings: [],
    changes: [
      { kind: "changed", what: "setting", name: "admin.listen", takesRestart: true },
      { kind: "changed", what: "setting", name: "admin.readOnlyToken", takesRestart: false },
      { kind: "changed", what: "setting", name: "retention", takesRestart: false },
      { kind: "added", what: "source", name: "test/app", takesRestart: false },
      { kind: "changed", what: "source", name: "test/web", takesRestart: false },
      { kind: "added", what: "destination", name: "test/more", takesRestart: false },
      { kind: "removed", what: "destination", name: "test/flags", takesRestart: false },
      { kind: "changed", what: "destination", name: "test/emulator", takesRestart: false },
    ],
  });
  expect(JSON.stringify(world.relay.accounts().lanes.map((lane) => lane.destination))).toBe(before);
  expect(readdirSync(`${world.directory}/data/test/lanes`)).toEqual(files);
  expect((await check(world)).json["changes"]).toHaveLength(8);
});

test("the same configuration changes nothing, given as a file or as a text", async () => {
  const world = await startWith(({ config }) => config);
  expect((await check(world)).json).toEqual({ ok: true, faults: [], changes: [], warnings: [] });
  expect((await check(world, {})).json).toMatchObject({ ok: true, changes: [] });
});

test("the faults of a text have their lines and columns, and no secret", async () => {
  const world = await startWith(({ config }) => config);
  const text = [
    "listen: 127.0.0.1:0",
    "environments:",
    "  test:",
    "    sources:",
    `      web: { protocol: segment, writeKeys: ["${SECRET} with spaces"] }`,
    "    destinations:",
    `      x: { vendor: segment, writeKee: ${SECRET} }`,
  ].join("\n");
  const { status, json, text: answer } = await check(world, { text });
  expect(status).toBe(200);
  expect(answer).not.toContain(SECRET);
  expect(json).toMatchObject({ ok: false, changes: [] });
  const faults = json["faults"] as Record<string, unknown>[];
  expect(faults.length).toBeGreaterThan(1);
  expect(faults[0]).toMatchObject({ line: 5, path: expect.stringContaining("writeKeys") as string });
  expect(faults.find(({ line }) => line === 7)).toMatchObject({ hint: expect.any(String) as string });
  expect((await check(world, { text: "[" })).json).toMatchObject({ ok: false });
  expect((await check(world, { text: 1 })).status).toBe(400);
  expect((await check(world, { text: "x".repeat(3 * 1024 * 1024) })).status).toBe(413);
});

test("the read-only token sees the configuration and checks none", async () => {
  const world = await startWith(({ config }) => config);
  const headers = { authorization: `Bearer ${ADMIN.readOnlyToken}` };
  expect((await send(world.relay.adminUrl, "GET", "/v1/config", "", headers)).status).toBe(200);
  expect((await send(world.relay.adminUrl, "POST", "/v1/config/check", "", headers)).status).toBe(403);
});

test("without a file there is nothing to check", async () => {
  const world = await startWorld();
  expect(await send(world.relay.adminUrl, "POST", "/v1/config/check", "", {})).toMatchObject({
    status: 409,
    json: { code: "no_config_file" },
  });
});
