/** What the page shows for a first event is really taken by a relay. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createLogger, loadConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { PROTOCOLS, snippetsOf } from "../../src/model/snippets.ts";

const run = promisify(execFile);

/** Some vendors' keys have a shape of their own. */
const keyOf = (protocol: string): string =>
  new Map([
    ["getfluxly", "gflux_secret_1"],
    ["amplitude", "0123456789abcdef0123456789abcdef"],
  ]).get(protocol) ?? `key-of-${protocol}`;

async function relayOfAll(): Promise<RunningRelay> {
  const dataDirectory = await mkdtemp(join(tmpdir(), "waybill-snippets-"));
  const sources = Object.fromEntries(
    PROTOCOLS.map((protocol) => [`my-${protocol}`, { protocol, writeKeys: [keyOf(protocol)] }]),
  );
  const destinations = { nowhere: { vendor: "segment", writeKey: "unused-key", url: "http://127.0.0.1:9" } };
  const text = JSON.stringify({
    listen: "127.0.0.1:0",
    admin: { listen: "127.0.0.1:0" },
    dataDirectory,
    network: { allowPrivateAddresses: true },
    shutdown: { deadline: "1s" },
    environments: { test: { sources, destinations } },
  });
  const relay = await startRelay(loadConfig({ file: "snippets", text, env: {} }), { logger: createLogger("silent") });
  onTestFinished(async () => {
    await relay.stop();
    await rm(dataDirectory, { recursive: true, force: true });
  });
  return relay;
}

test("each curl command stores one event, as soon as the key is in the environment", async () => {
  const relay = await relayOfAll();
  const commands = PROTOCOLS.flatMap((protocol) =>
    snippetsOf({ protocol, source: `my-${protocol}`, intake: relay.intakeUrl })
      .filter(({ title }) => title === "curl")
      .map(({ text }) => ({ protocol, text })),
  );
  expect(commands.length).toBeGreaterThan(6);
  for (const { protocol, text } of commands) {
    const name = `KEY_OF_MY_${protocol.toUpperCase()}`;
    await run("sh", ["-c", text], { env: { ...process.env, [name]: keyOf(protocol) } });
    const source = relay.accounts().sources.find((one) => one.source === `my-${protocol}`);
    expect(source?.accepted, `${protocol}: ${text}`).toBe(1);
  }
});
