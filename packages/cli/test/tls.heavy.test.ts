/** The command, and the client, with a relay that speaks TLS by a CA of its own. */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Transport } from "@waybill/core";
import { certificatesOf, createOutboundTransport } from "@waybill/node";
import { loadConfig, startRelay } from "@waybill/relay";
import { createTestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { createClient, type Summary } from "waybill";
import { run, runHere, temporary } from "./lib/command.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
/** Two processes of Node, on a machine that may be busy. */
const PATIENCE_MS = 90_000;
const TOKEN = "a-token-of-ours";
const CLIENT = fileURLToPath(new URL("../../client/dist/index.js", import.meta.url));

interface World {
  readonly intake: string;
  readonly admin: string;
  readonly ca: string;
  readonly directory: string;
  /** Events. */
  accepted(): number | undefined;
}

/** Its configuration takes the token and the key from files. */
async function startTls(): Promise<World> {
  const directory = temporary();
  const ca = createTestCa();
  const { cert, key } = ca.issue("localhost");
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const tls = { cert: file("tls.crt", cert), key: file("tls.key", key) };
  const token = `\${file:${file("token", `${TOKEN}\n`)}}`;
  const config = {
    listen: "127.0.0.1:0",
    dataDirectory: join(directory, "data"),
    tls,
    admin: { listen: "127.0.0.1:0", tls, token },
    environments: {
      test: {
        sources: { web: { protocol: "segment", writeKeys: [`\${file:${file("key", "web-key\n")}}`] } },
        destinations: { out: { vendor: "file", path: join(directory, "events.ndjson") } },
      },
    },
  };
  const relay = await startRelay(loadConfig({ file: "waybill.yaml", text: JSON.stringify(config), env: {} }), {
    logger: silent as never,
  });
  onTestFinished(() => relay.stop());
  return {
    intake: relay.intakeUrl.replace("127.0.0.1", "localhost"),
    admin: relay.adminUrl.replace("127.0.0.1", "localhost"),
    ca: file("ca.crt", ca.cert),
    directory,
    accepted: () => relay.accounts().lanes[0]?.account.accepted,
  };
}

const listAt = (admin: string): string[] => ["dead-letters", "list", "test/out", "--admin", admin, "--token", TOKEN];

test("the command reaches a relay whose CA it is given, and says what to do otherwise", async () => {
  const { intake, admin, ca, directory } = await startTls();
  const untrusted = await runHere(listAt(admin));
  expect(untrusted.code).toBe(1);
  expect(untrusted.err).toContain(`There is no TLS with ${admin}: `);
  expect(untrusted.err).toContain("Name the CA of its certificate with --ca, in WAYBILL_CA or in NODE_EXTRA_CA_CERTS.");
  expect(await runHere([...listAt(admin), "--ca", ca])).toMatchObject({ code: 0, err: "" });
  expect(await runHere(listAt(admin), { WAYBILL_CA: ca })).toMatchObject({ code: 0, err: "" });
  const plain = await runHere(listAt(admin.replace("https", "http")));
  expect(plain.err).toContain("This port speaks TLS: use https.");
  const byAddress = await runHere([...listAt(admin.replace("localhost", "127.0.0.1")), "--ca", ca]);
  expect(byAddress.err).toContain("Use a name that its certificate has.");
  const wrong = await runHere([...listAt(admin), "--ca", join(directory, "token")]);
  expect(wrong.err).toContain("has no certificate in PEM");
  const missing = await runHere([...listAt(admin), "--ca", join(directory, "nothing")]);
  expect(missing.err).toContain("Cannot read");
  const events = join(directory, "events.json");
  writeFileSync(events, '{"type":"track","userId":"u","event":"E"}\n');
  const sent = await runHere(["send", events, "--url", intake, "--write-key", "web-key", "--ca", ca]);
  expect(sent).toMatchObject({ code: 0 });
  expect(sent.out).toContain("accepted 1 rejected 0");
});

test(
  "NODE_EXTRA_CA_CERTS is enough for the command and for the client",
  async () => {
    const { intake, admin, ca, accepted } = await startTls();
    expect(await run(listAt(admin), { NODE_EXTRA_CA_CERTS: ca })).toMatchObject({ code: 0, err: "" });
    const program = `
      import { createClient } from ${JSON.stringify(CLIENT)};
      const client = createClient({ relay: { url: ${JSON.stringify(intake)}, writeKey: "web-key" } });
      client.track({ userId: "u", event: "from the client" });
      await client.close();`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: ca },
    });
    expect(accepted()).toBe(1);
  },
  PATIENCE_MS,
);

test("the client's transport may have a CA of its own", async () => {
  const { intake, ca, accepted } = await startTls();
  const found = certificatesOf(readFileSync(ca, "utf8"));
  const trusted = "certificates" in found ? found.certificates : [];
  const sendWith = async (transport: Transport, deadlineMs: number): Promise<Summary> => {
    const client = createClient({ relay: { url: intake, writeKey: "web-key" }, transport });
    client.track({ userId: "u", event: "from the client" });
    return client.close({ deadlineMs });
  };
  expect(await sendWith(createOutboundTransport({ ca: trusted }), PATIENCE_MS)).toMatchObject({ delivered: 1 });
  expect(await sendWith(createOutboundTransport({}), 1_000)).toMatchObject({ delivered: 0, left: 1 });
  expect(accepted()).toBe(1);
});
