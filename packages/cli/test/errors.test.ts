/** Each refusal says what is wrong, and what there is instead: nothing is left to guess. */

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { WaybillError } from "@waybill/core";
import { createLogger, loadConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { report } from "../src/io.ts";
import { type Ended, runHere, temporary } from "./lib/command.ts";

const TOKEN = "secret-token";
const READ_ONLY = "read-only-token";
/** A port that no other test is given, as one that was just closed may be. */
const NOBODY = "http://127.0.0.1:9";

async function running(): Promise<RunningRelay> {
  const destination = { vendor: "segment", url: "http://127.0.0.1:9", writeKey: "x" };
  const source = (key: string): object => ({ protocol: "segment", writeKeys: [key] });
  const text = JSON.stringify({
    listen: "127.0.0.1:0",
    dataDirectory: join(temporary(), "data"),
    admin: { listen: "127.0.0.1:0", token: TOKEN, readOnlyToken: READ_ONLY },
    network: { allowPrivateAddresses: true },
    environments: {
      production: { sources: { web: source("k") }, destinations: { segment: destination, warehouse: destination } },
      staging: { sources: { web: source("k2") }, destinations: { segment: destination } },
    },
  });
  const config = loadConfig({ file: "test", text, env: {} });
  const relay = await startRelay(config, { logger: createLogger("silent") });
  onTestFinished(() => relay.stop());
  return relay;
}

test("a name that the relay does not know is answered with those it knows", async () => {
  const { adminUrl, intakeUrl } = await running();
  const ask = (...args: string[]): Promise<Ended> =>
    runHere([...args, "--admin", adminUrl], { WAYBILL_ADMIN_TOKEN: TOKEN });
  const near =
    "waybill: There is no destination production/sgment.\n  Did you mean production/segment? The destinations are production/segment and production/warehouse.\n";
  for (const args of [
    ["dead-letters", "list"],
    ["dead-letters", "export"],
    ["dead-letters", "retry"],
    ["replay", "start"],
  ])
    expect(await ask(...args, "production/sgment"), args.join(" ")).toEqual({ code: 1, out: "", err: near });
  const environments = "waybill: There is no environment nowhere.\n  The environments are production and staging.\n";
  for (const args of [
    ["dead-letters", "list", "nowhere/segment"],
    ["replay", "start", "nowhere/segment"],
    ["trace", "x", "--environment", "nowhere"],
    ["trace", "nowhere/1"],
    ["tail", "--environment", "nowhere"],
  ])
    expect(await ask(...args), args.join(" ")).toEqual({ code: 1, out: "", err: environments });
  expect((await ask("tail", "--source", "wbe")).err).toBe(
    "waybill: There is no source wbe.\n  Did you mean web? The source is web.\n",
  );
  expect((await ask("replay", "cancel", "production/x")).err).toContain("waybill replay list shows which there are.");
  expect((await ask("trace", "production/7")).err).toContain("the next one is 0.");

  // The wrong port, the wrong token, the wrong scheme.
  const at = (admin: string, token: string): Promise<Ended> =>
    runHere(["replay", "list", "--admin", admin], { WAYBILL_ADMIN_TOKEN: token });
  expect((await at(intakeUrl, TOKEN)).err).toContain(
    `waybill: ${intakeUrl} is where the relay takes events, not its admin API\n  The relay's start-up line has both`,
  );
  expect((await at(adminUrl, "another-token")).err).toContain("The token that was given is not the relay's");
  expect((await at(adminUrl.replace("http:", "https:"), TOKEN)).err).toContain("does not speak TLS\n  The relay's");
  expect((await at(NOBODY, TOKEN)).err).toMatch(/There is no relay at .*ECONNREFUSED.*\n {2}Start one with/);
  const readOnly = ["replay", "start", "production/segment", "--admin", adminUrl, "--token", READ_ONLY];
  expect((await runHere(readOnly)).err).toContain("The read-only token changes nothing");
});

test("a server that is not a relay is named with its status", async () => {
  const server = createServer((_, response) => response.writeHead(502).end("<html>"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await runHere(["replay", "list", "--admin", admin])).toEqual({
    code: 1,
    out: "",
    err: `waybill: ${admin} answers with status 502, and not as a relay\n  Give the URL of a relay's admin API with --admin; a proxy before it must let its answers pass.\n`,
  });
});

test("send to a closed port, with a wrong key or to a wrong scheme says so at once and once", async () => {
  const { intakeUrl } = await running();
  const file = join(temporary(), "events.ndjson");
  writeFileSync(file, '{"type":"track","userId":"u","event":"E"}\n'.repeat(5_000));
  const send = (url: string, key = "k"): Promise<Ended> => runHere(["send", file, "--url", url, "--write-key", key]);
  expect(await send(NOBODY)).toEqual({
    code: 1,
    out: "",
    err: `waybill: Nobody listens at ${NOBODY}\n  Start a relay with waybill dev, or give the URL where it takes events with --url.\n`,
  });
  expect(await send(intakeUrl, "another")).toEqual({
    code: 1,
    out: "",
    err: expect.stringMatching(/^waybill: 401 .*\n {2}Give a write key of .*\n$/) as string,
  });
  expect(await send(intakeUrl.replace("http:", "https:"))).toEqual({
    code: 1,
    out: "",
    err: expect.stringMatching(/^waybill: https.* does not speak TLS: write it with http:\/\/\n {2}.*\n$/) as string,
  });
});

test("send tells each reason once, and gives up when the relay goes away for good", async () => {
  let requests = 0;
  const server = createServer((request, response) => {
    request.resume();
    requests += 1;
    if (requests <= 2) return response.writeHead(400).end('{"success":false,"code":"bad","message":"no"}');
    response.destroy();
    server.close();
    server.closeAllConnections();
    return undefined;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const file = join(temporary(), "events.ndjson");
  writeFileSync(file, '{"type":"track","userId":"u","event":"E"}\n'.repeat(1_000));
  const args = ["--url", url, "--write-key", "k", "--batch", "1", "--concurrency", "1", "--attempts", "3", "--json"];
  const { code, out, err } = await runHere(["send", file, ...args]);
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({ accepted: 0, rejected: 2, bad: 0 });
  expect(err.match(/^rejected: 400/gm)).toHaveLength(1);
  expect(err.match(/trying again$/gm)?.length).toBeLessThan(3);
  expect(err).toMatch(/\nwaybill: gave up after 3 attempts: no answer from .*\n {2}Run it again when/);
});

test("of topics that would lose events each reason and each command is a line of its own", () => {
  let err = "";
  const io = { err: { write: (text: string) => (err += text) } } as never;
  const message = "Kafka's topics would lose events:\nevents: \u001b[2Jcompacted\n  kafka-configs.sh --alter";
  expect(report(new WaybillError("WAYBILL_LOG_TOPIC", message, { hint: "do it" }), io)).toBe(1);
  expect(err).toBe(
    "waybill: Kafka's topics would lose events:\nevents: \\u001b[2Jcompacted\n  kafka-configs.sh --alter\n  do it\n",
  );
  err = "";
  report(new WaybillError("WAYBILL_TRANSPORT", "one\ntwo"), io);
  expect(err).toBe("waybill: one\\u000atwo\n");
});
