import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { expect, test } from "vitest";
import { runHere, start, temporary } from "./lib/command.ts";

/** A log of six events in three segments. */
async function filled(): Promise<{ readonly directory: string; readonly append: (text: string) => Promise<void> }> {
  const directory = join(temporary(), "data/production/log");
  const append = async (text: string): Promise<void> => {
    const log = await openLog({ directory, segmentMaxBytes: 300 }, { disk: nodeDisk, clock: nodeClock });
    const body = Buffer.from(text);
    await log.append({
      source: "web",
      receivedAtMs: 1_767_225_600_000,
      metadata: "m",
      body: [body],
      ends: Uint32Array.of(body.length),
    });
    await log.close();
  };
  for (let index = 0; index < 6; index++) await append(`{"n":${index},"big":12345678901234567890}`);
  return { directory, append };
}

test("dump writes each event as it was stored, filtered, and passes over damage", async () => {
  const { directory } = await filled();
  const whole = await runHere(["log", "dump", directory]);
  expect(whole.code).toBe(0);
  const lines = whole.out.trim().split("\n");
  expect(lines).toHaveLength(6);
  expect(lines[2]).toBe(
    '{"position":2,"receivedAt":"2026-01-01T00:00:00.000Z","source":"web","metadata":"m","event":{"n":2,"big":12345678901234567890}}',
  );
  expect((await runHere(["log", "dump", directory, "--raw", "--from", "4", "--to", "5"])).out).toBe(
    '{"n":4,"big":12345678901234567890}\n',
  );
  expect((await runHere(["log", "dump", directory, "--source", "app"])).out).toBe("");
  expect((await runHere(["log", "dump", directory, "--since", "2026-01-02T00:00:00Z"])).out).toBe("");
  expect((await runHere(["log", "dump", directory, "--since", "soon"])).err).toContain("is not a time");
  expect(await runHere(["log", "dump", temporary()])).toMatchObject({
    code: 1,
    err: expect.stringContaining("There is no log in") as string,
  });
});

test("repair makes a damaged log whole, says what was lost, and only when nobody uses it", async () => {
  const { directory } = await filled();
  const file = join(directory, "00000000000000000000.log");
  const bytes = readFileSync(file);
  bytes[bytes.indexOf('{"n":0') + 3] = 0x7a;
  writeFileSync(file, bytes);
  const damaged = await runHere(["log", "dump", directory, "--raw"]);
  expect(damaged).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^damaged: 0+\.log bytes 64 to \d+\n$/) as string,
  });
  expect(damaged.out.trim().split("\n")).toHaveLength(5);
  expect((await runHere(["log", "verify", directory])).code).toBe(1);
  expect((await runHere(["log", "repair", directory, "--dry-run"])).out).toMatch(
    /positions 0 to 0 are lost\n1 segment would be repaired\n$/,
  );
  expect((await runHere(["log", "verify", directory])).code).toBe(1);

  const relay = start(["relay"], {
    WAYBILL_LISTEN: "127.0.0.1:0",
    WAYBILL_ADMIN_LISTEN: "127.0.0.1:0",
    WAYBILL_DATA_DIRECTORY: join(directory, "../.."),
  });
  await relay.says(/events on/);
  expect(await runHere(["log", "repair", directory])).toMatchObject({
    code: 1,
    err: expect.stringContaining("Another process") as string,
  });
  relay.process.kill("SIGTERM");
  await relay.ended;

  expect((await runHere(["log", "repair", directory])).out).toMatch(
    /copied to damaged\/0+\.log\.64\n.*lost\n1 segment repaired\n$/,
  );
  expect((await runHere(["log", "verify", directory])).out).toMatch(/5 events, \d+ bytes: whole\n$/);
  expect((await runHere(["log", "repair", directory])).out).toBe("nothing to repair\n");
});

test("a reader that takes its time gets all of it, one that goes away ends it quietly", async () => {
  const directory = join(temporary(), "data/production/log");
  const log = await openLog({ directory }, { disk: nodeDisk, clock: nodeClock });
  const body = Buffer.from(`"${"x".repeat(100_000)}"`);
  const entry = { source: "web", receivedAtMs: 0, metadata: "", body: [body], ends: Uint32Array.of(body.length) };
  for (let index = 0; index < 60; index++) await log.append(entry);
  await log.close();
  const slow = start(["log", "dump", directory, "--raw"]);
  expect(await slow.ended).toMatchObject({ code: 0, err: "" });
  expect((await slow.ended).out.length).toBe(60 * (body.length + 1));
  const left = start(["log", "dump", directory, "--raw"]);
  left.process.stdout?.destroy();
  expect(await left.ended).toMatchObject({ code: 0, err: "" });
});

test("tail shows the newest events and follows the log", async () => {
  const { directory, append } = await filled();
  expect((await runHere(["log", "tail", directory, "-n", "2", "--raw"])).out).toBe(
    '{"n":4,"big":12345678901234567890}\n{"n":5,"big":12345678901234567890}\n',
  );
  const following = start(["log", "tail", directory, "-n", "1", "--follow"]);
  await following.says(/"position":5/);
  await append('"next"');
  await following.says(/"position":6.*"event":"next"/);
  following.process.kill("SIGINT");
  const { code, out } = await following.ended;
  expect([code, out.trim().split("\n").length]).toEqual([0, 2]);
});

test("the commands for a log on Kafka say what is wrong with how they are called", async () => {
  const file = join(temporary(), "waybill.yaml");
  const sources = { web: { protocol: "segment", writeKeys: ["k"] } };
  const destinations = { one: { vendor: "segment", writeKey: "k" } };
  const environments = { production: { sources, destinations } };
  const extra = { dataDirectory: join(temporary(), "data"), environments };
  writeFileSync(file, JSON.stringify(extra));
  for (const command of ["verify", "dump", "tail"])
    expect(await runHere(["log", command, "production", "--config", file])).toMatchObject({
      code: 1,
      err: expect.stringContaining("has engine: disk") as string,
    });
  expect(await runHere(["log", "copy", file, "--to", "kafka"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("Give one with engine: kafka") as string,
  });
  expect((await runHere(["log", "copy", file, "--to", "tape"])).code).toBe(2);

  writeFileSync(file, JSON.stringify({ ...extra, engine: "kafka", kafka: { brokers: ["127.0.0.1:9"] } }));
  expect((await runHere(["log", "verify", "staging", "--config", file])).err).toContain("It has production");
  expect((await runHere(["log", "dump", "production", "--config", file, "--from", "3"])).err).toContain("--since");
});
