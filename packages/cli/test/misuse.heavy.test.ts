/** What a person gets wrong is reported at once, with what to do, and with its own exit code. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { run, runHere, start, temporary } from "./lib/command.ts";

test("log verify where there is no log says so, names the one nearby, exits with 2 and creates nothing", async () => {
  const directory = temporary();
  writeFileSync(join(directory, "file"), "");
  mkdirSync(join(directory, "empty"));
  for (const name of ["nowhere", "empty", "file"]) {
    const place = join(directory, name);
    expect(await runHere(["log", "verify", place]), name).toMatchObject({
      code: 2,
      out: "",
      err: `waybill: There is no log in ${place}\n  Give <dataDirectory>/<environment>/log.\n`,
    });
  }
  expect(
    readdirSync(directory, { recursive: true })
      .map(String)
      .toSorted((a, b) => a.localeCompare(b)),
  ).toEqual(["empty", "file"]);
  const log = await openLog({ directory: join(directory, "log") }, { disk: nodeDisk, clock: nodeClock });
  const body = [Buffer.from("{}")];
  await log.append({ source: "s", receivedAtMs: 1, metadata: "", body, ends: Uint32Array.of(2) });
  await log.close();
  expect((await runHere(["log", "verify", directory])).err).toContain(`Did you mean ${join(directory, "log")}?`);
  expect((await runHere(["log", "verify", join(directory, "log")])).code).toBe(0);
});

test.each(["--port", "--admin-port"])(
  "dev with a taken %s ends with 1, and says which port and how to choose another",
  async (option) => {
    const server = await startServer(() => ({ status: 200, headers: {}, body: "" }));
    onTestFinished(() => server.close());
    const { port } = new URL(server.url);
    const other = option === "--port" ? "--admin-port" : "--port";
    const { code, err } = await run(["dev", option, port, other, "0"]);
    expect(code).toBe(1);
    expect(err).toContain(`Cannot listen on 127.0.0.1:${port}: `);
    expect(err).toContain(`choose another with ${option}, or ${option} 0 for any that is free.`);
  },
);

test("what dev prints to see events by runs in another shell, elsewhere, as it is", async () => {
  const dev = start(["dev", "--port", "0", "--admin-port", "0", "--rate", "50"], {
    WAYBILL_ADMIN_TOKEN: "a-long-token",
  });
  const [, line = ""] = await dev.says(/as they are stored:\n {2}(.+)\n {2}\(with WAYBILL_ADMIN_TOKEN set/);
  const shell = spawn("/bin/sh", ["-c", `exec ${line}`], {
    cwd: temporary(),
    env: { WAYBILL_ADMIN_TOKEN: "a-long-token" },
  });
  onTestFinished(() => void shell.kill("SIGKILL"));
  const [first] = (await once(shell.stdout, "data")) as [Buffer];
  expect(String(first)).toMatch(/ dev\/(?:app|web|shop) #\d+ /);
  dev.process.kill("SIGINT");
  await dev.ended;
});

test("config check warns of what is allowed and will hardly do what was meant", async () => {
  const file = join(temporary(), "waybill.yaml");
  writeFileSync(
    file,
    "environments:\n  e:\n    sources: { s: { protocol: segment, writeKeys: [k] } }\n    destinations:\n      d: { vendor: segment, writeKey: x, url: 'http://localhost:1', redact: [email] }\n",
  );
  const { code, out, err } = await runHere(["config", "check", file]);
  expect([code, out]).toEqual([0, expect.stringContaining("is right: 1 environment")]);
  expect(err).toMatch(
    /^warning: \S+:5:\d+ environments\.e\.destinations\.d\.url: is at a private address, .*allowPrivateAddresses/,
  );
  expect(err).toMatch(/\nwarning: \S+:5:\d+ environments\.e\.destinations\.d\.redact\.0: matches no field/);
});
