/** The relay as systemd starts it: what listens already are its file descriptors from 3 on. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { createTestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { run } from "../src/index.ts";
import { createProcessIo } from "../src/io.ts";
import { temporary } from "./lib/command.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
/** The process id is known to the program alone. */
const AS_SYSTEMD = 'export LISTEN_PID=$$; exec "$@"';

interface Given {
  readonly names: string;
  /** File descriptors. */
  readonly sockets: readonly number[];
  readonly config?: string;
}

function startGiven({ names, sockets, config = "" }: Given): ChildProcess {
  const folder = temporary();
  const file = join(folder, "waybill.yaml");
  writeFileSync(
    file,
    `listen: 127.0.0.1:1
admin: { listen: 127.0.0.1:1 }
dataDirectory: ${folder}/data
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [dev] } }
    destinations: { segment: { vendor: segment, writeKey: dev } }
${config}`,
  );
  const child = spawn("sh", ["-c", AS_SYSTEMD, "sh", process.execPath, MAIN, "relay", "--config", file], {
    env: { PATH: process.env["PATH"], LISTEN_FDS: String(sockets.length), LISTEN_FDNAMES: names },
    stdio: ["ignore", "pipe", "pipe", ...sockets],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function listening(host: string): Promise<Server> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return server;
}

/** Node tells it nowhere else. */
function fdOf(server: Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function failureOf(child: ChildProcess): Promise<string> {
  const [written] = await Promise.all([text(child.stderr as NodeJS.ReadableStream), once(child, "close")]);
  expect(child.exitCode).toBe(1);
  return written;
}

test("both ports are the sockets that it was given, also with TLS, and the addresses of the configuration are not used", async () => {
  const ca = createTestCa();
  const { cert, key } = ca.issue("localhost");
  const files = temporary();
  writeFileSync(join(files, "cert"), cert);
  writeFileSync(join(files, "key"), key);
  const tls = `{ cert: ${files}/cert, key: ${files}/key }`;
  const [intake, admin] = [await listening("127.0.0.1"), await listening("127.0.0.1")];
  const ports = { intake: portOf(intake), admin: portOf(admin) };
  const child = startGiven({ names: "admin:intake", sockets: [fdOf(admin), fdOf(intake)], config: `tls: ${tls}` });
  // It has its own by now.
  intake.close();
  admin.close();
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  for await (const line of lines) {
    const { intake: intakeUrl, admin: adminUrl } = JSON.parse(line) as Record<string, string | undefined>;
    if (intakeUrl === undefined) continue;
    expect([intakeUrl, adminUrl]).toEqual([`https://127.0.0.1:${ports.intake}`, `http://127.0.0.1:${ports.admin}`]);
    break;
  }
  expect((await fetch(`http://127.0.0.1:${ports.admin}/ready`)).status).toBe(200);
  const asked = request({
    port: ports.intake,
    host: "127.0.0.1",
    servername: "localhost",
    path: "/ready",
    ca: ca.cert,
  });
  const [answer] = (await once(asked.end(), "response")) as [{ readonly statusCode: number }];
  expect(answer.statusCode).toBe(200);
  child.kill("SIGTERM");
  await once(child, "close");
  expect(child.exitCode).toBe(0);
});

test("what is not a socket is refused, and the error names it", async () => {
  const written = await failureOf(startGiven({ names: "intake", sockets: [openSync("/dev/null", "r")] }));
  expect(written).toContain("Cannot listen on the socket intake, file descriptor 3");
  expect(written).toContain("has to pass a TCP socket that listens");
});

test("a Unix socket is refused", async () => {
  const server = createServer().listen(join(temporary(), "socket"));
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const written = await failureOf(startGiven({ names: "intake", sockets: [fdOf(server)] }));
  expect(written).toContain("file descriptor 3: it is not a TCP socket");
});

test("a socket with a name that is not known is refused", async () => {
  const written = await failureOf(
    startGiven({ names: "waybill.socket", sockets: [fdOf(await listening("127.0.0.1"))] }),
  );
  expect(written).toContain('one has the name "waybill.socket"');
  expect(written).toContain("FileDescriptorName=intake");
});

test("an admin socket that others reach needs a token", async () => {
  const written = await failureOf(startGiven({ names: "admin", sockets: [fdOf(await listening("0.0.0.0"))] }));
  expect(written).toContain("The socket admin listens on 0.0.0.0, and there is no admin.token");
});

test("a relay that is stopped while it starts ends with 0", async () => {
  const data = join(temporary(), "data");
  const env = { WAYBILL_LISTEN: "127.0.0.1:0", WAYBILL_ADMIN_LISTEN: "127.0.0.1:0", WAYBILL_DATA_DIRECTORY: data };
  let isStarted = false;
  const onStop = (stop: () => void): void => {
    isStarted = existsSync(data);
    stop();
  };
  expect(await run(["node", "waybill", "relay"], { ...createProcessIo(), env, onStop })).toBe(0);
  expect(isStarted).toBe(false);
  expect(existsSync(data)).toBe(true);
});

test("a reload that is asked for while a relay starts is done once it runs", async () => {
  const folder = temporary();
  const file = join(folder, "waybill.yaml");
  const writeConfig = (variable: string): void =>
    writeFileSync(
      file,
      `listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
dataDirectory: ${folder}/data
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: ["\${${variable}}"] } }
    destinations: { segment: { vendor: segment, writeKey: dev } }
`,
    );
  writeConfig("FIRST");
  let [reload, stop] = [ignore, ignore];
  const env: Record<string, string | undefined> = {};
  /** Calls this when the configuration that names the variable is read; a list of all does not. */
  const onRead = (variable: string, run: () => void): object =>
    Object.defineProperty(env, variable, { get: () => (run(), "one-key"), enumerable: false });
  onRead("FIRST", () => {
    writeConfig("SECOND");
    reload();
  });
  onRead("SECOND", () => stop());
  const onReload = (run: () => void): void => void (reload = run);
  const onStop = (run: () => void): void => void (stop = run);
  expect(
    await run(["node", "waybill", "relay", "--config", file], { ...createProcessIo(), env, onReload, onStop }),
  ).toBe(0);
});

function ignore(): void {}
