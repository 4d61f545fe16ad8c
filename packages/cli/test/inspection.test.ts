import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeClock } from "@waybill/node";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { type Ended, run, runHere, start, temporary } from "./lib/command.ts";

test("trace, dead-letters and replay tell what became of events, and send them again", {
  timeout: 120_000,
}, async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock });
  emulator.refuse(({ event }) => event === "Bad");
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const directory = temporary();
  const config = join(directory, "waybill.yaml");
  writeFileSync(
    config,
    JSON.stringify({
      listen: "127.0.0.1:0",
      dataDirectory: join(directory, "data"),
      admin: { listen: "127.0.0.1:0", token: "secret-token" },
      network: { allowPrivateAddresses: true },
      environments: {
        production: {
          sources: { web: { protocol: "segment", writeKeys: ["k"] } },
          destinations: { emulator: { vendor: "segment", url: server.url, writeKey: "v" } },
        },
      },
    }),
  );
  const relay = start(["relay", "--config", config]);
  const [, text = ""] = await relay.says(/^(\{.*events on.*\})$/m);
  const { intake, admin } = JSON.parse(text) as { intake: string; admin: string };
  const ask = (...args: string[]): Promise<Ended> =>
    runHere([...args, "--admin", admin], { WAYBILL_ADMIN_TOKEN: "secret-token" });
  const events = ["Good", "Bad", "Other"].map((event, index) => ({
    type: "track",
    userId: "u",
    event,
    messageId: `m-${index}`,
  }));
  await run(
    ["send", "-", "--url", intake, "--write-key", "k"],
    {},
    events.map((one) => JSON.stringify(one)).join("\n"),
  );
  for (let out = ""; !out.includes("emulator: delivered"); ) ({ out } = await ask("trace", "m-2"));

  expect(await ask("trace", "m-0")).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      /from production\/web, stored at production\/0[\s\S]*receipt production\/0\+1\n[\s\S]*emulator: delivered\n[\s\S]* +\+[\d.]+ m?s {2}attempt \d: status 200 after/,
    ) as string,
  });
  expect(await ask("trace", "m-1")).toMatchObject({
    out: expect.stringMatching(
      /emulator: rejected\n {2}\S+ +\+[\d.]+ m?s {2}attempt 1: status 400.*\n(?:.*attempt \d.*\n)* {2}\S+ +\+\S+ m?s {2}rejected: .*400.*; dead letter 0, waiting\n$/,
    ) as string,
  });
  expect(await ask("trace", "nobody")).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^waybill: No event of id nobody is in the log; the log of production begins at /,
    ) as string,
  });
  expect(await runHere(["trace", "x", "--admin", admin])).toMatchObject({
    code: 1,
    err: expect.stringContaining("The admin token is missing or wrong.\n  Give the admin token with --token") as string,
  });

  expect((await ask("dead-letters", "list", "production/emulator")).out).toMatch(
    /^id {2}state {4}rejected +source {2}event {2}message id {2}reason\n 0 {2}waiting {2}(?:now|\d+ s ago) +web {5}Bad {4}m-1 {9}.*400.*\n$/,
  );
  expect((await ask("dead-letters", "reasons", "production/emulator")).out).toMatch(
    /^events {2}reason .*\n {5}1 {2}.*400.* --id 0\n$/,
  );
  expect((await ask("dead-letters", "show", "production/emulator", "--id", "0")).out).toContain('"event":"Bad"');
  const exported = await ask("dead-letters", "export", "production/emulator");
  expect(JSON.parse(exported.out)).toMatchObject({ deadLetterId: 0, event: events[1] });
  expect(await ask("dead-letters", "list", "nonsense")).toMatchObject({
    code: 1,
    err: expect.stringContaining("environment/destination") as string,
  });
  emulator.refuse(() => false);
  expect((await ask("dead-letters", "retry", "production/emulator")).out).toMatch(/^Replay \S+ sends 1 event again/);
  for (let out = ""; !out.includes("done; 1 chosen, 1 delivered"); ) ({ out } = await ask("replay", "list"));
  const parts = "1 chosen, 1 delivered, 0 rejected, 0 dropped, 0 expired, 0 pending";
  expect((await ask("replay", "list")).out).toContain(parts);
  const retried = await ask("trace", "production/1");
  expect(retried.out).toMatch(
    /emulator: delivered\n.*attempt 1: status 400.*\n(?:.*attempt \d.*\n)*.*dead letter 0, retried\n {2}replay \S+: delivered\n.*attempt 1: status 200.*\n.*delivered by the retry of its dead letter\n$/,
  );
  const several = await ask("trace", "waybill-receipt: production/0+1,2+1 production/1");
  expect(several.out.match(/^received /gm)).toHaveLength(3);
  expect(await ask("trace", "production/9")).toMatchObject({
    code: 1,
    err: "waybill: Environment production has not given these positions yet; the next one is 3.\n",
  });
  for (const what of ["retry", "discard"])
    expect(await ask("dead-letters", what, "production/emulator", "--name", "Good")).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("No dead letter of production/emulator that waits matches; nothing was") as string,
    });

  const range = ["replay", "start", "production/emulator", "--event", "Other"];
  expect((await ask(...range, "--dry-run")).out).toBe("1 event would be sent.\n");
  const [, id = ""] = /^Replay (\S+) sends 1 event\.\n$/.exec((await ask(...range)).out) ?? [];
  expect((await ask("replay", "cancel", `production/${id}`)).out).toBe(`Cancelled replay production/${id}.\n`);
  expect(await ask("replay", "cancel", "production/nobody")).toMatchObject({
    code: 1,
    err: "waybill: There is no replay nobody.\n  waybill replay list shows which there are.\n",
  });

  const setCursor = ["lanes", "set-cursor", "production/emulator"];
  expect(await ask(...setCursor, "4", "--yes")).toMatchObject({
    code: 1,
    err: "waybill: The lane is idle. Pause it first: its cursor is moved only while it is paused, halted or failed.\n",
  });
  const headers = { authorization: "Bearer secret-token", "content-type": "application/json" };
  await fetch(`${admin}/v1/lanes/production/emulator/pause`, { method: "POST", headers });
  const more = [3, 4].map((number) =>
    JSON.stringify({ type: "track", userId: "u", event: "E", messageId: `m-${number}` }),
  );
  await run(["send", "-", "--url", intake, "--write-key", "k"], {}, more.join("\n"));
  expect((await ask(...setCursor, "5")).out).toBe(
    "It would move the cursor from 3 to 5 and skip 2 events; do it with --yes.\n",
  );
  expect(JSON.parse((await ask(...setCursor, "5", "--json")).out)).toEqual({ from: 3, to: 5, events: 2, moved: false });
  expect(await ask(...setCursor, "6", "--yes")).toMatchObject({
    code: 1,
    err: "waybill: The cursor is at 3: it can be moved forward to 5 at most.\n",
  });
  expect((await ask(...setCursor, "2", "--yes")).err).toContain("waybill replay start");
  expect(await ask(...setCursor, "five")).toMatchObject({ code: 2 });
  expect((await ask(...setCursor, "4", "--yes")).out).toBe("Moved the cursor from 3 to 4; 1 event skipped.\n");
  expect((await ask("trace", "m-3")).out).toContain("emulator: dropped (skipped)");
  expect((await ask("trace", "m-4")).out).toContain("emulator: pending");
});
