import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Disk, WaybillError } from "@waybill/core";
import { createNodeDisk, createNodeTransport, nodeClock, nodeDisk, nodeRandom, widerThan } from "@waybill/node";
import { startServer } from "@waybill/testing";
import { testDisk, testTransport } from "@waybill/testing/suites";
import { expect, onTestFinished, test } from "vitest";

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "waybill-node-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

testDisk("node disk", { make: () => ({ disk: nodeDisk, directory: temporary() }) });

const ANSWER_MAX_BYTES = 64 * 1024;

testTransport("node transport", {
  answerMaxBytes: ANSWER_MAX_BYTES,
  async make(handler) {
    const [server, gone] = await Promise.all([startServer(handler), startServer(handler)]);
    await gone.close();
    const transport = createNodeTransport({ answerMaxBytes: ANSWER_MAX_BYTES });
    onTestFinished(async () => {
      transport.close();
      await server.close();
    });
    return { transport, origin: server.url, nowhere: gone.url, settled: (result) => result };
  },
});

test("files are written, read, cut and listed; failures carry a POSIX reason", async () => {
  const directory = join(temporary(), "a/b");
  await nodeDisk.makeDirectory(directory);
  const file = await nodeDisk.open(`${directory}/f`, { create: true, durable: true });
  await file.write([Buffer.from("hello "), Buffer.from("world")], 0);
  await file.write([Buffer.from("W")], 6);
  await file.sync();
  const target = new Uint8Array(20);
  expect(await file.read(target, 6)).toBe(5);
  expect(Buffer.from(target.subarray(0, 5)).toString()).toBe("World");
  await file.truncate(5);
  expect(await file.size()).toBe(5);
  await file.close();
  await expect(nodeDisk.open(`${directory}/f`, { create: true })).rejects.toMatchObject({
    code: "WAYBILL_DISK",
    reason: "EEXIST",
  });
  await expect(nodeDisk.open(`${directory}/none`)).rejects.toMatchObject({ reason: "ENOENT" });
  await nodeDisk.rename(`${directory}/f`, `${directory}/g`);
  expect(await nodeDisk.list(directory)).toEqual(["g"]);
  await nodeDisk.remove(`${directory}/g`);
  await nodeDisk.syncDirectory(directory);
  expect(await nodeDisk.list(directory)).toEqual([]);
});

test("files and directories are the owner's alone, or as they are configured whatever the umask says", async () => {
  const modes = async (disk: Disk): Promise<readonly string[]> => {
    const directory = temporary();
    await disk.makeDirectory(`${directory}/a/b`);
    await (await disk.open(`${directory}/a/b/f`, { create: true })).close();
    return ["a", "a/b", "a/b/f"].map((path) => (statSync(`${directory}/${path}`).mode & 0o777).toString(8));
  };
  const umask = process.umask(0);
  try {
    expect(await modes(nodeDisk)).toEqual(["700", "700", "600"]);
    process.umask(0o077);
    expect(await modes(nodeDisk)).toEqual(["700", "700", "600"]);
    expect(await modes(createNodeDisk({ fileMode: 0o664, directoryMode: 0o775 }))).toEqual(["775", "775", "664"]);
  } finally {
    process.umask(umask);
  }
  const directory = temporary();
  expect(await widerThan(directory, 0o700)).toBeUndefined();
  chmodSync(directory, 0o751);
  expect(await widerThan(directory, 0o700)).toBe(0o751);
  expect(await widerThan(directory, 0o755)).toBeUndefined();
});

test("what is among the files and is none is not listed", async () => {
  const directory = temporary();
  writeFileSync(join(directory, "file"), "");
  symlinkSync("file", join(directory, "link"));
  symlinkSync("none", join(directory, "dangling"));
  mkdirSync(join(directory, "directory"));
  symlinkSync("directory", join(directory, "link-to-directory"));
  execFileSync("mkfifo", [join(directory, "pipe")]);
  expect(await nodeDisk.list(directory)).toEqual(["file", "link"]);
});

test("a write of more buffers than the kernel takes at once is whole", async () => {
  const directory = temporary();
  for (const durable of [false, true]) {
    const file = await nodeDisk.open(`${directory}/${durable}`, { create: true, durable });
    const buffers = Array.from({ length: 5_000 }, (_, index) => Buffer.from(`${index},`));
    await file.write(buffers, 3);
    await file.close();
    expect(readFileSync(`${directory}/${durable}`).subarray(3).equals(Buffer.concat(buffers))).toBe(true);
  }
});

const never = new AbortController().signal;

async function serve(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a request sends its chunks with their exact length and resolves with any answer", async () => {
  let seen = "";
  const url = await serve((request, response) => {
    request.on("data", (chunk) => {
      seen += String(chunk);
    });
    request.on("end", () =>
      response
        .writeHead(302, { location: "/x", "x-a": "b" })
        .end(`${request.method} ${request.headers["content-length"]}`),
    );
  });
  const transport = createNodeTransport();
  const answer = await transport({ method: "POST", url, headers: {}, body: ["ä", Buffer.from("bc"), "d"] }, never);
  expect(answer).toMatchObject({ status: 302, body: "POST 5", headers: { "x-a": "b" } });
  expect(seen).toBe("äbcd");
  transport.close();
});

test("a request that cannot be made is refused with what is wrong, and without its value", async () => {
  const transport = createNodeTransport();
  for (const [fault, what] of [
    [{ headers: { "x-api-key": "secret\n" } }, '["x-api-key"]'],
    [{ headers: { "a b": "secret" } }, '["a b"]'],
    [{ url: "ftp://x/secret" }, 'Protocol "ftp:"'],
  ] as const) {
    const request = { method: "POST", url: "http://127.0.0.1:9/", headers: {}, body: ["x"], ...fault } as const;
    await expect(transport(request, never)).rejects.toMatchObject({
      reason: "invalid_request",
      message: expect.stringContaining(what),
    });
    await expect(transport(request, never)).rejects.not.toThrow("secret");
  }
  transport.close();
});

test("no answer rejects with its reason: refused, reset, aborted", async () => {
  const transport = createNodeTransport();
  const request = (url: string): Parameters<typeof transport>[0] => ({ method: "POST", url, headers: {}, body: ["x"] });
  await expect(transport(request("http://127.0.0.1:9"), never)).rejects.toMatchObject({
    code: "WAYBILL_TRANSPORT",
    reason: "refused",
    retryable: true,
  });
  const resetting = await serve((incoming) => incoming.socket.resetAndDestroy());
  await expect(transport(request(resetting), never)).rejects.toMatchObject({ reason: "reset" });
  const silent = await serve(() => undefined);
  const controller = new AbortController();
  const pending = transport(request(silent), controller.signal);
  controller.abort();
  await expect(pending).rejects.toMatchObject({ reason: "aborted" });
  await expect(transport(request(`${silent}/?key=secret`), controller.signal)).rejects.not.toThrow("secret");
  transport.close();
});

test("clock and random do what they say", async () => {
  const before = nodeClock.monotonic();
  await new Promise<void>((resolve) => nodeClock.after(5, resolve, true));
  expect(nodeClock.monotonic()).toBeGreaterThanOrEqual(before + 4);
  expect(Number.isInteger(nodeClock.now())).toBe(true);
  nodeClock.after(Number.MAX_SAFE_INTEGER, () => expect.unreachable()).cancel();
  const bytes = new Uint8Array(64);
  nodeRandom.fill(bytes);
  expect(new Set(bytes).size).toBeGreaterThan(20);
  expect(nodeRandom.next()).toBeLessThan(1);
});

test("a request that is given up while it waits for a connection ends at once, and is never sent", async () => {
  const paths: string[] = [];
  const server = createServer((request) => void paths.push(request.url ?? ""));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const transport = createNodeTransport({ maxSockets: 1 });
  onTestFinished(() => {
    transport.close();
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const controllers = [new AbortController(), new AbortController()] as const;
  const [first, second] = controllers.map(({ signal }, index) =>
    transport({ method: "GET", url: `${origin}/${index}`, headers: {}, body: [] }, signal).catch(
      ({ reason }: WaybillError) => reason,
    ),
  );
  controllers[1].abort();
  expect(await second).toBe("aborted");
  controllers[0].abort();
  expect(await first).toBe("aborted");
  expect(paths).not.toContain("/1");
});
