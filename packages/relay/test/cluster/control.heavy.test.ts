/** Rotated keys and reloads reach each relay of a cluster. */
import type { RelayConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import { steadyClock } from "../lib/steady-clock.ts";
import { send, until } from "../lib/world.ts";
import { areShared, ask, capture, modesOf, recordsOf, startCluster } from "./lib/cluster-world.ts";

const SEALING = { sealingKey: "0123456789abcdef0123456789abcdef" };
const NEW_KEY = "rotated-and-secret";

test("a key that is rotated at one relay is used by all, and is in no topic", async () => {
  const { authorizations, cluster, emulator, start } = await startCluster({ clock: steadyClock });
  const kafka = SEALING;
  const one = await start("one", { kafka });
  const two = await start("two", { kafka });
  await until(() => areShared(one, two));
  const rotated = await ask(one, "/v1/destinations/test/emulator/rotate", { key: NEW_KEY });
  expect([rotated.status, rotated.json]).toEqual([200, { rotated: true, graceMs: 3_600_000 }]);
  const inbound = await ask(two, "/v1/sources/test/web/rotate", { key: `${NEW_KEY}-in` });
  expect(inbound.status).toBe(200);

  await capture(one, 0, 40);
  await until(() => emulator.received === 40);
  const three = await start("three", { kafka });
  for (const relay of [one, two, three]) {
    const authorization = `Basic ${btoa(`${NEW_KEY}-in:`)}`;
    const batch = [{ type: "track", event: "E", userId: `user-${relay.intakeUrl}` }];
    const { status } = await send(relay.intakeUrl, "POST", "/v1/batch", { batch }, { authorization });
    expect(status).toBe(200);
  }
  await until(() => emulator.received === 43);
  expect(new Set(authorizations)).toEqual(new Set([`Basic ${btoa(`${NEW_KEY}:`)}`]));

  const bytes = cluster.topics.flatMap((topic) =>
    Array.from({ length: cluster.partitionsOf(topic) }, (_, partition) => cluster.records({ topic, partition })),
  );
  const all = Buffer.concat(bytes.flat().map(({ key = "", value }) => Buffer.concat([Buffer.from(key), value])));
  expect(all.includes("rotation/destination test/emulator")).toBe(true);
  expect(all.includes(NEW_KEY)).toBe(false);
  expect(all.includes(Buffer.from(NEW_KEY).toString("base64").slice(0, 16))).toBe(false);
});

test("without a sealing key a rotation is refused with what to do; with another one nothing is sent", async () => {
  const { authorizations, emulator, lines, start } = await startCluster({ clock: steadyClock });
  const one = await start("one", { kafka: SEALING });
  const two = await start("two");
  const refused = await ask(two, "/v1/destinations/test/emulator/rotate", { key: NEW_KEY });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain("kafka.sealingKey");
  await until(() => areShared(one, two));
  expect((await ask(one, "/v1/destinations/test/emulator/rotate", { key: NEW_KEY })).status).toBe(200);
  expect(lines.get("two")).toContain("rotation_not_used");
  expect([...modesOf(two)]).toEqual(["paused"]);
  await capture(two, 0, 40);
  await until(() => one.accounts().lanes.every(({ account }) => account.pending === 0));
  // An operator cannot resume it.
  expect((await ask(two, "/v1/lanes/test/emulator/resume")).status).toBe(204);
  expect([...modesOf(two)]).toEqual(["paused"]);
  const { lanes } = two.accounts();
  expect(lanes[0]?.reason).toContain("another kafka.sealingKey");
  // Who stops gives its lanes to one that has the key.
  await two.stop();
  await until(() => emulator.received === 40);
  expect(new Set(authorizations)).toEqual(new Set([`Basic ${btoa(`${NEW_KEY}:`)}`]));
});

test("a reload is done by each relay with its own file; one whose file is bad keeps the one before", async () => {
  const { cluster, start } = await startCluster({ clock: steadyClock });
  const withKey = (config: RelayConfig): RelayConfig => ({
    ...config,
    environments: config.environments.map((environment) => ({
      ...environment,
      sources: environment.sources.map((source) => ({ ...source, keys: [{ key: "reloaded", kind: "" as const }] })),
    })),
    retention: { ...config.retention, maxAgeMs: config.retention.maxAgeMs + 1 },
  });
  let isBad = false;
  const one = await start("one", { reloadConfig: withKey });
  const two = await start("two", {
    reloadConfig: (config) => {
      if (isBad) throw new Error("line 7 is wrong");
      return withKey(config);
    },
  });
  const digests = (): readonly string[] => recordsOf(cluster).map(({ configDigest }) => configDigest);
  const before = digests();
  expect(recordsOf(cluster).map(({ destinations }) => destinations)).toEqual([["test/emulator"], ["test/emulator"]]);
  isBad = true;
  const refused = await ask(one, "/v1/reload");
  expect([refused.status, refused.json["ok"]]).toEqual([422, false]);
  expect(JSON.stringify(refused.json["errors"])).toContain("line 7 is wrong");
  expect(refused.json["changed"]).toContain("retention changed");
  // A relay announces it within a moment.
  await until(() => digests().filter((digest) => before.includes(digest)).length === 1);
  isBad = false;
  const taken = await ask(two, "/v1/reload");
  expect([taken.status, taken.json["errors"]]).toEqual([200, []]);
  await until(() => digests().every((digest) => !before.includes(digest)));
  const authorization = { authorization: `Basic ${btoa("reloaded:")}` };
  for (const relay of [one, two]) {
    const batch = [{ type: "track", event: "E", userId: "a" }];
    expect((await send(relay.intakeUrl, "POST", "/v1/batch", { batch }, authorization)).status).toBe(200);
  }
});
