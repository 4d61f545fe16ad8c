/** `waybill status`: one word, what is wrong with what to do, and the same again as it changes. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Overview } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { callWithin } from "../src/admin-deadline.ts";
import type { Io } from "../src/index.ts";
import { healthOf } from "../src/status/health.ts";
import { type Ended, run, runHere, startHere } from "./lib/command.ts";
import { READ_ONLY, startTestRelay, type TestRelay, TOKEN } from "./lib/relay.ts";

const ENV = (admin: string, token = TOKEN): Record<string, string> => ({
  WAYBILL_ADMIN_URL: admin,
  WAYBILL_ADMIN_TOKEN: token,
});

/** Halts the lane: the vendor refuses the key, and an event waits. */
async function halt({ emulator, send, admin }: TestRelay): Promise<Ended> {
  emulator.fail({ kind: "status", status: 401 });
  await send("Kept");
  for (;;) {
    const ended = await runHere(["status"], ENV(admin));
    if (ended.out.includes("halted")) return ended;
  }
}

test("the first word of a relay without problems is well, and the exit code 0", async () => {
  const { admin, send } = await startTestRelay();
  await send("One", "Two");
  const { code, out, err } = await runHere(["status"], ENV(admin));
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^well: nothing needs a person\nhttp:\/\/127\.0\.0\.1:\d+: Waybill \S+, up \d+ s, 1 source, 1 /);
  expect(out).toMatch(
    /\nsource +protocol +in\/s +stored .*\nproduction\/web +segment +\S+ +2 +0 +(?:now|\d+ s ago|-) +-\n/,
  );
  expect(out).toMatch(/\ndestination .*\nproduction\/segment +segment +(?:idle|sending) /);
  expect(out).not.toContain("\t");
});

test("what is wrong comes first, with what to do, and the exit code is 1", async () => {
  const relay = await startTestRelay();
  const { code, out } = await halt(relay);
  expect(code).toBe(1);
  expect(out).toMatch(
    /^failing: 1 error\n.*\n\nerror {4}production\/segment.*\n {9}segment refuses the key .*; 1 event is kept\.\n {9}→ Rotate the key: /,
  );
  expect(out).toMatch(/\nproduction\/segment +segment +halted +0 +1 .*401/);
  const overview = JSON.parse((await runHere(["status", "--json"], ENV(relay.admin))).out) as Overview;
  expect(overview.problems).toMatchObject([{ severity: "error", code: "key_refused", destination: "segment" }]);
  expect((await runHere(["status", "--json"], ENV(relay.admin))).code).toBe(1);
});

test("warnings alone are degraded, an error is failing", () => {
  const problem = { severity: "warning", code: "dead_letters", since: null, what: "", doThis: "" } as const;
  expect(healthOf({ problems: [] })).toBe("well");
  expect(healthOf({ problems: [problem] })).toBe("degraded");
  expect(healthOf({ problems: [problem, { ...problem, severity: "error" }] })).toBe("failing");
});

test("a relay that cannot be reached is unreachable, with the address that was tried", async () => {
  expect(await run(["status", "--admin", "http://127.0.0.1:9"])).toEqual({
    code: 1,
    out: "unreachable\n",
    err: expect.stringMatching(/^waybill: There is no relay at http:\/\/127\.0\.0\.1:9: .*\n {2}Start one /) as string,
  });
});

test("a relay that does not answer is not waited for without end", async () => {
  const server = createServer(() => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => server.closeAllConnections());
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await expect(callWithin({ admin }, { env: {} } as Io, "showOverview", { withinMs: 50 })).rejects.toMatchObject({
    code: "WAYBILL_TRANSPORT",
    message: `${admin} has not answered within 0.05 s`,
  });
  server.close();
});

test("the flags win over the environment; what is wrong in the environment is named as such", async () => {
  const { admin } = await startTestRelay();
  const wrong = { WAYBILL_ADMIN_URL: "http://127.0.0.1:9", WAYBILL_ADMIN_TOKEN: "not-the-token" };
  expect((await runHere(["status", "--admin", admin, "--token", TOKEN], wrong)).code).toBe(0);
  for (const args of [["status"], ["trace", "x"], ["replay", "list"], ["dead-letters", "list", "e/d"]])
    expect((await runHere(args, wrong)).err, args.join(" ")).toContain("http://127.0.0.1:9");
  expect((await runHere(["tail"], { WAYBILL_ADMIN_URL: "nonsense" })).err).toMatch(
    /^waybill: WAYBILL_ADMIN_URL is not an http or https URL\n/,
  );
  expect((await runHere(["status"], { ...ENV(admin), WAYBILL_ADMIN_TOKEN: "not-the-token" })).err).toContain(
    "The admin token is missing or wrong.",
  );
  expect((await runHere(["status"], ENV(admin, READ_ONLY))).code).toBe(0);
});

test("at 80 columns no line is longer, and why a lane halts is below it", async () => {
  const relay = await startTestRelay();
  await halt(relay);
  const { ended } = startHere(["status"], { env: { ...ENV(relay.admin), NO_COLOR: "1" }, columns: 80 });
  const { out } = await ended;
  expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(out).toMatch(/\nproduction\/segment +halted .*\n {2}.*401/);
  const coloured = await startHere(["status"], { env: ENV(relay.admin), columns: 80 }).ended;
  expect(coloured.out).toContain("\u001b[1mfailing");
});

test("--watch draws it again as it changes, waits for a relay that restarts, and ends with 0", async () => {
  const relay = await startTestRelay();
  const watch = startHere(["status", "--watch"], {
    env: { ...ENV(relay.admin), NO_COLOR: "1" },
    columns: 80,
    rows: 40,
  });
  await watch.says(/well: nothing needs a person/);
  await halt(relay);
  await watch.says(/failing: 1 error/);
  await relay.stop();
  await watch.says(/unreachable: .*; trying again/);
  relay.emulator.recover();
  await relay.restart();
  await watch.says(/trying again[^]*well: nothing needs a person/);
  watch.stop();
  expect(await watch.ended).toMatchObject({ code: 0, err: "" });
});

test("--watch in a pipe has a paragraph for each change of what is wrong, with its time", async () => {
  const relay = await startTestRelay();
  const watch = startHere(["status", "--watch"], { env: ENV(relay.admin) });
  await watch.says(/well: /);
  await halt(relay);
  await watch.says(/failing: .*\nerror .*\n.*\n.*\n/);
  watch.stop();
  const { code, out } = await watch.ended;
  expect(code).toBe(0);
  expect(out).toMatch(
    /^\d{4}-\d\d-\d\dT\S+Z well: nothing needs a person\n\d{4}-\S+Z failing: 1 error\nerror .*\n +segment refuses the key .*\n +→ .*\n$/,
  );
});

test("--watch --json has a line for each overview", async () => {
  const relay = await startTestRelay();
  const watch = startHere(["status", "--watch", "--json"], { env: ENV(relay.admin) });
  await watch.says(/\n/);
  await halt(relay);
  await watch.says(/key_refused.*\n/);
  watch.stop();
  const lines = (await watch.ended).out.trimEnd().split("\n");
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ ready: true });
  expect(lines.length).toBeGreaterThan(1);
});

test("--watch waits for a relay that is not there yet, and ends with 1 where the token is wrong", async () => {
  const nobody = startHere(["status", "--watch", "--admin", "http://127.0.0.1:9"]);
  await nobody.says(/unreachable: There is no relay at http:\/\/127\.0\.0\.1:9: .*; trying again/);
  nobody.stop();
  expect((await nobody.ended).code).toBe(0);
  const { admin } = await startTestRelay();
  expect(await startHere(["status", "--watch"], { env: ENV(admin, "not-the-token") }).ended).toMatchObject({
    code: 1,
    err: expect.stringContaining("The admin token is missing or wrong.") as string,
  });
});

test("--watch leaves the end out where the terminal is too low", async () => {
  const relay = await startTestRelay();
  await halt(relay);
  const watch = startHere(["status", "--watch"], { env: { ...ENV(relay.admin), NO_COLOR: "1" }, columns: 80, rows: 6 });
  await watch.says(/failing: 1 error[^]*… \d+ more lines; waybill lanes shows every lane/);
  watch.stop();
  await watch.ended;
  expect(watch.out()).not.toContain("destination ");
});
