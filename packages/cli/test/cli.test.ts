import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { run, runHere, start, temporary } from "./lib/command.ts";

test.each([
  ["dev"],
  ["relay"],
  ["send"],
  ["status"],
  ["lanes", "list"],
  ["lanes", "show"],
  ["lanes", "set-cursor"],
  ["pause"],
  ["resume"],
  ["probe"],
  ["rotate"],
  ["reload"],
  ["completion", "bash"],
  ["completion", "zsh"],
  ["completion", "fish"],
  ["tail"],
  ["trace"],
  ["dead-letters", "list"],
  ["dead-letters", "show"],
  ["dead-letters", "retry"],
  ["dead-letters", "discard"],
  ["dead-letters", "export"],
  ["replay", "start"],
  ["replay", "list"],
  ["replay", "cancel"],
  ["config", "check"],
  ["log", "verify"],
  ["log", "repair"],
  ["log", "dump"],
  ["log", "tail"],
])("%s %s --help has an example", async (...words) => {
  const { code, out } = await runHere([...words.filter((word) => word !== undefined), "--help"]);
  expect(code).toBe(0);
  expect(out).toMatch(/Example:\n {2}waybill /);
});

test("an unknown command or option is refused with the nearest one, exit code 2", async () => {
  expect(await run(["snd"])).toMatchObject({ code: 2, err: expect.stringContaining("Did you mean send?") as string });
  expect(await runHere(["dev", "--raet", "1"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("--rate") as string,
  });
  expect(await runHere(["dev", "--rate", "x"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("whole number from 0") as string,
  });
});

test("dev shows events flowing, takes one of yours, and ends with a ledger that balances", async () => {
  const dev = start(["dev", "--port", "0", "--admin-port", "0", "--rate", "50"]);
  const [, url = ""] = await dev.says(/curl -u dev: (\S+)\/v1\/track/);
  const answer = await fetch(`${url}/v1/track`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("dev:")}` },
    body: '{"userId":"me","event":"Hello"}',
  });
  expect(await answer.json()).toEqual({ success: true });
  await dev.says(/analytics: accepted [1-9]\d* delivered [1-9]\d* pending \d+ rejected 0/);
  dev.process.kill("SIGINT");
  const { code, out } = await dev.ended;
  expect(code).toBe(0);
  const rows = [...out.matchAll(/^dev\/(?:analytics|warehouse) +(\d+) +(\d+) +0 +0 +0 +balances/gm)];
  expect(rows).toHaveLength(2);
  for (const [, accepted, delivered] of rows) expect(delivered).toBe(accepted);
});

test("relay without a configuration runs, says in one line where, delivers to its emulator, and SIGTERM ends it with 0", async () => {
  const directory = temporary();
  const relay = start(["relay"], {
    WAYBILL_LISTEN: "127.0.0.1:0",
    WAYBILL_ADMIN_LISTEN: "127.0.0.1:0",
    WAYBILL_DATA_DIRECTORY: directory,
  });
  const [, line = ""] = await relay.says(/^(\{.*events on.*\})$/m);
  const { intake, admin, msg } = JSON.parse(line) as { intake: string; admin: string; msg: string };
  expect(msg).toContain(`log in ${directory}, lanes dev/emulator`);
  const events = join(directory, "events.ndjson");
  writeFileSync(
    events,
    Array.from({ length: 1_200 }, (_, index) =>
      JSON.stringify({ type: "track", userId: "u", event: "E", properties: { index } }),
    ).join("\n"),
  );
  const sent = await runHere(["send", events, "--url", intake, "--write-key", "dev"]);
  expect(sent).toMatchObject({
    code: 0,
    out: expect.stringMatching(
      /^sent 1200 accepted 1200 rejected 0 failed 0 bad 0 in [\d.]+ s \(\d+ ev\/s\)\n$/,
    ) as string,
  });
  for (;;) {
    const accounts = (await (await fetch(`${admin}/v1/accounts`)).json()) as {
      lanes: { account: { delivered: number; balanced: boolean } }[];
    };
    if (accounts.lanes[0]?.account.delivered === 1_200 && accounts.lanes[0].account.balanced) break;
  }
  relay.process.kill("SIGTERM");
  expect((await relay.ended).code).toBe(0);
});

test("relay with a wrong configuration ends with 78 and every fault", async () => {
  const file = join(temporary(), "waybill.yaml");
  writeFileSync(file, "listn: x\nenvironments: {}\n");
  const { code, err } = await run(["relay", "--config", file]);
  expect(code).toBe(78);
  expect(err).toContain(`${file}:1:1 listn: unknown key; did you mean "listen"?`);
  expect(err).toContain("environments");
  expect(await runHere(["relay", "--config", "/nowhere.yaml"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("Cannot read /nowhere.yaml") as string,
  });
});

test("SIGHUP reloads the configuration; a bad one leaves the old plan serving", async () => {
  const directory = temporary();
  const file = join(directory, "waybill.yaml");
  const config = (key: string): string =>
    JSON.stringify({
      listen: "127.0.0.1:0",
      admin: { listen: "127.0.0.1:0" },
      dataDirectory: join(directory, "data"),
      network: { allowPrivateAddresses: true },
      environments: {
        e: {
          sources: { s: { protocol: "segment", writeKeys: [key] } },
          destinations: { d: { vendor: "segment", url: "http://127.0.0.1:9", writeKey: "x" } },
        },
      },
    });
  writeFileSync(file, config("first"));
  const relay = start(["relay", "--config", file]);
  const [, intake = ""] = await relay.says(/"intake":"([^"]+)"/);
  const post = async (key: string): Promise<number> =>
    (
      await fetch(`${intake}/v1/track`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa(`${key}:`)}` },
        body: '{"userId":"u","event":"E"}',
      })
    ).status;
  expect([await post("first"), await post("second")]).toEqual([200, 401]);
  writeFileSync(file, config("second"));
  relay.process.kill("SIGHUP");
  await relay.says(/configuration reloaded/);
  expect([await post("first"), await post("second")]).toEqual([401, 200]);
  writeFileSync(file, "nonsense: true\n");
  relay.process.kill("SIGHUP");
  await relay.says(/the old one goes on/);
  expect(await post("second")).toBe(200);
});

test("send says what was refused, goes on after bad lines with --skip-bad, and exits 1", async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock, writeKeys: ["k"] });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const lines = [
    '{"type":"track","userId":"u","event":"A"}',
    "",
    "not json",
    "[1]",
    '{"userId":"u"}',
    `{"type":"track","pad":"${"x".repeat(33_000)}"}`,
    '{"type":"page","userId":"u"}',
  ];
  const args = ["send", "-", "--url", server.url, "--write-key", "k"];
  const stopped = await run(args, {}, lines.join("\n"));
  expect(stopped).toMatchObject({ code: 1, err: expect.stringContaining("Line 3 is not JSON") as string });
  const { code, out, err } = await run([...args, "--skip-bad"], {}, lines.join("\n"));
  expect(code).toBe(1);
  expect(out).toMatch(/^sent 3 accepted 2 rejected 1 failed 0 bad 3 in /);
  for (const part of [
    "Line 3 is not JSON",
    "Line 4 is not a JSON object",
    'Line 5 is an event without "type"',
    "rejected: ",
  ])
    expect(err).toContain(part);
  expect(await runHere(["send", "-", "--url", server.url])).toMatchObject({
    code: 1,
    err: expect.stringContaining("--write-key") as string,
  });
  expect(await runHere(["send", "/nowhere.ndjson", "--write-key", "k"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("Cannot read") as string,
  });
});

test("send gives events without an id one, so that repeated attempts double nothing", async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  emulator.fail({ kind: "resetAfter", times: 2 });
  const { code } = await run(
    ["send", "-", "--url", server.url, "--write-key", "k"],
    {},
    '{"type":"track","userId":"u","event":"A"}\n'.repeat(10),
  );
  expect(code).toBe(0);
  expect([emulator.received, emulator.duplicates]).toEqual([10, 20]);
});

test("tail prints events as they are stored", async () => {
  const relay = start(["relay"], {
    WAYBILL_LISTEN: "127.0.0.1:0",
    WAYBILL_ADMIN_LISTEN: "127.0.0.1:0",
    WAYBILL_DATA_DIRECTORY: temporary(),
  });
  const [, line = ""] = await relay.says(/^(\{.*events on.*\})$/m);
  const { intake, admin } = JSON.parse(line) as { intake: string; admin: string };
  const tail = start(["tail", "--admin", admin]);
  const seen = tail.says(/dev\/app #\d+ track Seen u \S+/);
  // The tail may still be connecting: events go on until it has seen one.
  let done = false;
  void seen.finally(() => {
    done = true;
  });
  const headers = { authorization: `Basic ${btoa("dev:")}` };
  const body = '{"userId":"u","event":"Seen"}';
  while (!done) await fetch(`${intake}/v1/track`, { method: "POST", headers, body });
  await seen;
  tail.process.kill("SIGINT");
  expect((await tail.ended).code).toBe(0);
  expect(await runHere(["tail", "--admin", "http://127.0.0.1:9"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("There is no relay at") as string,
  });
});

test("log verify says whether a log is whole, exit code 1 when it is not", async () => {
  const directory = join(temporary(), "log");
  mkdirSync(directory);
  const log = await openLog({ directory }, { disk: nodeDisk, clock: nodeClock });
  for (const text of ['"one"', '"two"'])
    await log.append({
      source: "s",
      receivedAtMs: 1,
      metadata: "",
      body: [Buffer.from(text)],
      ends: Uint32Array.of(text.length),
    });
  await log.close();
  expect(await runHere(["log", "verify", directory])).toMatchObject({
    code: 0,
    out: expect.stringContaining("2 records, 2 events") as string,
  });
  const [name = ""] = await nodeDisk.list(directory);
  const file = await nodeDisk.open(join(directory, name));
  await file.write([Buffer.from("X")], 64 + 60);
  await file.close();
  expect(await runHere(["log", "verify", directory])).toMatchObject({
    code: 1,
    out: expect.stringMatching(/damaged: .*1 event lost/) as string,
  });
});

test("config check reads the files of CAs, and quotes no proxy", async () => {
  const file = join(temporary(), "waybill.yaml");
  const options = "vendor: segment, writeKey: x, ca: /nowhere/ca.pem";
  writeFileSync(
    file,
    `environments: { e: { sources: { s: { protocol: segment, writeKeys: [k] } }, destinations: { d: { ${options} } } } }\n`,
  );
  const { code, err } = await runHere(["config", "check", file]);
  expect(code).not.toBe(0);
  expect(err).toContain("d.ca: is /nowhere/ca.pem, which cannot be read: ENOENT");
  const secret = "pr0xy-pass";
  writeFileSync(file, `network: { proxy: "socks5://u:${secret}@p" }\nenvironments: {}\n`);
  const refused = await runHere(["config", "check", file]);
  expect(refused.err).toContain("network.proxy: is not a proxy that speaks HTTP");
  expect(refused.err + refused.out).not.toContain(secret);
});

test("config check says what it found", async () => {
  const file = join(temporary(), "waybill.yaml");
  writeFileSync(
    file,
    "environments: { e: { sources: { s: { protocol: segment, writeKeys: [k] } }, destinations: { d: { vendor: segment, writeKey: x } } } }\n",
  );
  expect(await runHere(["config", "check", file])).toMatchObject({
    code: 0,
    out: expect.stringContaining("1 environment, 1 source, 1 destination") as string,
    err: "",
  });
});

test("config check of a log on Kafka warns of what an earlier engine: disk may have left", async () => {
  const directory = temporary();
  const file = join(directory, "waybill.yaml");
  writeFileSync(join(directory, "e"), "where the log of this environment would be");
  const environments =
    "{ e: { sources: { s: { protocol: segment, writeKeys: [k] } }, destinations: { d: { vendor: segment, writeKey: x } } } }";
  const text = `dataDirectory: ${directory}\nkafka: { brokers: ["a:9092", "b:9092"] }\nenvironments: ${environments}\n`;
  writeFileSync(file, `engine: kafka\n${text}`);
  const warning = `${directory}/e cannot be read, and whether events wait there that a relay on Kafka does not deliver is not known`;
  const checked = await runHere(["config", "check", file]);
  expect([checked.code, checked.err]).toEqual([0, expect.stringContaining(`warning: ${warning}`)]);
  const json = await runHere(["config", "check", file, "--json"]);
  expect(JSON.parse(json.out)).toMatchObject({ ok: true, warnings: [expect.stringContaining(warning)] });
  expect((await runHere(["config", "check", "--offline", file])).err).toBe("");
});

test("config check of a log on Kafka names the cluster, and no secret of it", async () => {
  const file = join(temporary(), "waybill.yaml");
  const sasl = "{ mechanism: plain, username: relay, password: s3cret-pass }";
  writeFileSync(
    file,
    `engine: kafka
kafka: { brokers: ["a:9092", "b:9092"], partitions: 6, tls: true, sasl: ${sasl} }
dataDirectory: /data
environments: { e: { sources: { s: { protocol: segment, writeKeys: [k] } }, destinations: { d: { vendor: segment, writeKey: x } } } }
`,
  );
  const { code, out } = await runHere(["config", "check", file]);
  expect([code, out]).toEqual([
    0,
    expect.stringContaining(
      "log on Kafka at a:9092, b:9092 in topics waybill.*: 6 partitions of each environment, 3 copies each, 2 in sync; attempts in /data",
    ),
  ]);
  const json = (await runHere(["config", "check", file, "--json"])).out;
  expect(JSON.parse(json)).toMatchObject({
    dataDirectory: "/data",
    kafka: {
      brokers: ["a:9092", "b:9092"],
      topicPrefix: "waybill",
      partitions: 6,
      replicationFactor: 3,
      minInSyncReplicas: 2,
    },
  });
  expect(out + json).not.toContain("s3cret-pass");
});
