/**
 * Requests one after the other on a connection that its client has reset: nobody can be answered,
 * and Node ends the process when a later answer ends before an earlier one. Found by fuzzing.
 */
import { expect, onTestFinished, test } from "vitest";
import { underlying } from "../../src/tls/handshakes.ts";
import { dial, overTls } from "../lib/tls.ts";
import { send, startWorld } from "../lib/world.ts";

const TIMES = 60;
const PIPELINED = 6;

async function pipelineAndReset(url: string, one: string): Promise<void> {
  const bytes = Buffer.from(one.repeat(PIPELINED));
  for (let time = 0; time < TIMES; time++)
    await new Promise<void>((resolve) => {
      const socket = dial(url).setNoDelay();
      socket.on("error", () => resolve());
      socket.on("close", () => resolve());
      const begin = (): void => {
        // In the middle of a request: the rest comes with those that follow, after the first ones
        // were answered.
        socket.write(bytes.subarray(0, (bytes.length * (time % PIPELINED)) / PIPELINED));
        setImmediate(() => {
          socket.write(bytes.subarray((bytes.length * (time % PIPELINED)) / PIPELINED));
          setImmediate(() => {
            underlying(socket).resetAndDestroy();
            setImmediate(() => socket.destroy());
          });
        });
      };
      if (overTls.isOn) socket.once("secureConnect", begin);
      else begin();
    });
}

/** Defects that nobody caught. */
function uncaught(): readonly unknown[] {
  const seen: unknown[] = [];
  const note = (error: unknown): void => void seen.push(error);
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", note);
  onTestFinished(() => {
    process.off("uncaughtException", note);
    for (const listener of before) process.on("uncaughtException", listener);
  });
  return seen;
}

test("pipelined requests on a connection that is reset harm nobody", async () => {
  const seen = uncaught();
  const { relay } = await startWorld({
    sources: { fluxly: { protocol: "getfluxly", writeKeys: ["gflux_secret_in"] } },
  });
  const chunked =
    "OPTIONS /v1/identify/alias HTTP/1.1\r\nhost: a\r\nauthorization: Bearer gflux_secret_in\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  await pipelineAndReset(relay.intakeUrl, chunked);
  for (const path of ["/v1/tail", "/v1/dead-letters/test/emulator/export", "/metrics", "/v1/nothing"])
    await pipelineAndReset(relay.adminUrl, `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
  expect(seen).toEqual([]);
  expect((await send(relay.intakeUrl, "GET", "/health", "")).status).toBe(200);
  expect((await send(relay.adminUrl, "GET", "/health", "")).status).toBe(200);
});
