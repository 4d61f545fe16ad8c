/** The commands that look at lanes, steer one, give out keys and reload the configuration. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LaneDetail, LaneView, RecentAttempt } from "@waybill/relay";
import { expect, test } from "vitest";
import { type Ended, run, runHere, temporary } from "./lib/command.ts";
import { READ_ONLY, startTestRelay, type TestRelay, TOKEN } from "./lib/relay.ts";

const LANE = "production/segment";
const NEW_KEY = "a-new-write-key";

function env({ admin }: TestRelay, token = TOKEN): Record<string, string> {
  return { WAYBILL_ADMIN_URL: admin, WAYBILL_ADMIN_TOKEN: token };
}

/** The command until its output has this. */
async function until(relay: TestRelay, args: readonly string[], pattern: RegExp): Promise<Ended> {
  for (;;) {
    const ended = await runHere(args, env(relay));
    if (pattern.test(ended.out)) return ended;
  }
}

test("lanes lists every lane with its titles, or those of a mode", async () => {
  const relay = await startTestRelay();
  const { code, out } = await runHere(["lanes"], env(relay));
  expect(code).toBe(0);
  expect(out).toMatch(
    /^destination +vendor +mode +out\/s +waiting +size +oldest +in flight +dead +loss +why\nproduction\/segment +segment +idle +0 +0 +- +- +0\/\d+ +0 +- +-\n$/,
  );
  expect((await runHere(["lanes", "list", "--mode", "halted"], env(relay))).out).toBe("There are none.\n");
  expect((await runHere(["lanes", "--environment", "other"], env(relay))).out).toBe("There are none.\n");
  expect(JSON.parse((await runHere(["lanes", "--json"], env(relay))).out)).toMatchObject([
    { environment: "production", name: "segment", mode: "idle", account: { accepted: 0 } },
  ]);
  expect((await runHere(["lanes", "--mode", "asleep"], env(relay))).code).toBe(2);
});

test("lanes show has the ledger, the last requests, and the settings without secrets", async () => {
  const relay = await startTestRelay();
  await relay.send("One", "Two");
  const { out } = await until(relay, ["lanes", "show", LANE], /delivered +2/);
  expect(out).toMatch(/^production\/segment: (?:idle|sending)\n\nvendor +segment\norder +user\nsources +all\n/);
  expect(out).toMatch(/\nledger\naccepted +2 +balances\ndelivered +2\n/);
  expect(out).toMatch(
    /\nlast requests\nwhen +status +took +events .*\n(?:now|\d+ s ago) +200 +[\d,]+ ms +2 +2 +0 +0 +-\n/,
  );
  expect(out).toMatch(/\nwriteKey +\(secret\)\n/);
  const detail = JSON.parse((await runHere(["lanes", "show", LANE, "--json"], env(relay))).out) as LaneDetail & {
    readonly attempts: readonly RecentAttempt[];
  };
  expect(detail).toMatchObject({ destination: "segment", account: { delivered: 2 }, attempts: [{ status: 200 }] });
  expect(await runHere(["lanes", "show", "production/other"], env(relay))).toMatchObject({
    code: 1,
    err: expect.stringContaining("There is no destination production/other.") as string,
  });
});

test("pause keeps events, resume delivers them; both tell how the lane is then", async () => {
  const relay = await startTestRelay();
  expect((await runHere(["pause", LANE], env(relay))).out).toBe(
    "Paused production/segment: it is paused (paused by an operator), 0 events wait.\n",
  );
  await relay.send("Kept");
  const paused = JSON.parse((await runHere(["pause", LANE, "--json"], env(relay))).out) as LaneView;
  expect(paused).toMatchObject({ mode: "paused", account: { pending: 1 } });
  expect((await runHere(["resume", LANE], env(relay))).out).toMatch(/^Resumed production\/segment: it is \w+, /);
  await until(relay, ["lanes", "show", LANE], /delivered +1/);
  expect(await runHere(["pause", "production"], env(relay))).toMatchObject({
    code: 1,
    err: expect.stringContaining("environment/destination") as string,
  });
});

test("probe shows what the vendor answers: exit code 1 while the lane cannot go on, then 0", async () => {
  const relay = await startTestRelay();
  relay.emulator.fail({ kind: "status", status: 401 });
  await relay.send("Kept");
  await until(relay, ["status"], /halted/);
  expect(await runHere(["probe", LANE], env(relay))).toEqual({
    code: 1,
    out: expect.stringMatching(
      /^production\/segment answers with status 401 after \d+ ms: 0 of 1 event delivered \(401 .*\)\.\n$/,
    ) as string,
    err: "",
  });
  await until(relay, ["status"], /halted/);
  relay.emulator.recover();
  const { code, out } = await runHere(["probe", LANE, "--json"], env(relay));
  expect({ code, attempt: JSON.parse(out) as unknown }).toMatchObject({
    code: 0,
    attempt: { status: 200, delivered: 1 },
  });
  expect(await runHere(["probe", LANE], env(relay))).toMatchObject({
    code: 1,
    err: expect.stringContaining("The lane does not wait for anything") as string,
  });
});

test("probe ends where no answer comes in time", async () => {
  const relay = await startTestRelay();
  relay.emulator.fail({ kind: "status", status: 401 });
  await relay.send("Kept");
  await until(relay, ["status"], /halted/);
  relay.emulator.fail({ kind: "hang" });
  expect(await runHere(["probe", LANE, "--wait", "1"], env(relay))).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^waybill: production\/segment has no answer within 1 s\n {2}Its request goes on/,
    ) as string,
  });
});

test("probe with --wait 0 does not wait for the answer", async () => {
  const relay = await startTestRelay();
  relay.emulator.fail({ kind: "status", status: 401 });
  await relay.send("Kept");
  await until(relay, ["status"], /halted/);
  expect((await runHere(["probe", LANE, "--wait", "0"], env(relay))).out).toBe(
    "production/segment tries at once; waybill lanes show production/segment has the answer.\n",
  );
});

test("rotate takes the new key from standard input, a file or the environment", async () => {
  const relay = await startTestRelay();
  const piped = await run(["rotate", LANE], env(relay), `${NEW_KEY}\n`);
  expect(piped).toMatchObject({ code: 0, err: "" });
  expect(piped.out).toMatch(
    /^production\/segment uses the new key from its next request on; if the vendor refuses it within 60 min, the key before it is used again\.\nPut the new key into /,
  );
  const file = join(temporary(), "key");
  writeFileSync(file, `${NEW_KEY}-2\r\n`);
  const source = ["rotate", "production/web", "--source"];
  expect((await runHere([...source, "--key-file", file, "--grace", "0s"], env(relay))).out).toContain(
    "production/web takes the new key from now on; the keys before it are no longer valid.\n",
  );
  await expect(relay.send("Old key")).rejects.toThrow("status 401");
  const variable = { ...env(relay), NEW_KEY: "k-web" };
  const { out } = await runHere([...source, "--key-env", "NEW_KEY", "--grace", "2d", "--json"], variable);
  expect(JSON.parse(out)).toEqual({ rotated: true, graceMs: 172_800_000 });
  await relay.send("The first key again");
});

test.each([
  ["both", ["--key-file", "x", "--key-env", "X"], "--key-file and --key-env were both given"],
  ["a variable that is not set", ["--key-env", "NOT_SET"], "NOT_SET is not set"],
  ["a file that is not there", ["--key-file", "/nowhere/key"], "Cannot read the new key from /nowhere/key"],
  ["an endless file", ["--key-file", "/dev/zero"], "it has more than 65536 bytes"],
  ["an empty key", ["--key-env", "EMPTY"], "The new key is empty"],
])("rotate without a key (%s) says how to give one, and never as an argument", async (_name, args, message) => {
  const { code, err } = await runHere(["rotate", LANE, ...args], { EMPTY: "" });
  expect(code).toBe(1);
  expect(err).toContain(message);
});

test("rotate refuses a grace that is not a duration, and a name that is not one", async () => {
  expect((await runHere(["rotate", LANE, "--grace", "soon"])).code).toBe(2);
  expect((await runHere(["rotate", "segment", "--key-env", "X"], { X: NEW_KEY })).err).toContain(
    "Write it as environment/destination.",
  );
});

test("reload tells what has changed, and what is wrong with exit code 78", async () => {
  let text = "environments: 1";
  const relay = await startTestRelay({ reload: () => text });
  const wrong = await runHere(["reload"], env(relay));
  expect(wrong).toMatchObject({ code: 78, out: "" });
  expect(wrong.err).toMatch(/environments[^]*\nwaybill: The configuration was not taken over; the relay goes on with /);
  expect(JSON.parse((await runHere(["reload", "--json"], env(relay))).out)).toMatchObject({ ok: false, changed: [] });
  text = relay.config({ sources: { second: { protocol: "segment", writeKeys: ["another"] } } });
  expect(await runHere(["reload"], env(relay))).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^Reloaded:\n {2}.*second/) as string,
  });
  expect((await runHere(["reload"], env(relay))).out).toBe("Reloaded; nothing has changed.\n");
});

test("what changes something is refused for the read-only token, with what to do", async () => {
  const relay = await startTestRelay();
  const readOnly = { ...env(relay, READ_ONLY), KEY: NEW_KEY };
  expect((await runHere(["lanes"], readOnly)).code).toBe(0);
  for (const args of [
    ["pause", LANE],
    ["resume", LANE],
    ["reload"],
    ["probe", LANE],
    ["rotate", LANE, "--key-env", "KEY"],
  ]) {
    const { code, err } = await runHere(args, readOnly);
    expect(code, args.join(" ")).toBe(1);
    expect(err, args.join(" ")).toMatch(/^waybill: .*read-only.*\n {2}Give the full token, admin\.token of /);
  }
});
