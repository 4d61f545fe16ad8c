import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";

/** Beside those that systems choose for connections and for servers that want any port. */
const FIRST = 20_000;
const END = 32_000;

let next: number | undefined;

/**
 * A port of 127.0.0.1 that nobody listens on, another one with each call, in whichever process: for
 * a server that must know its port before it starts. It is kept for the process that asked, until
 * that ends.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port: number = next ?? randomInt(FIRST, END);
    next = port + 1 < END ? port + 1 : FIRST;
    if ((await isOurs(port)) && (await isFree(port))) return port;
  }
}

/** Who has the port of UDP with this number has it: one process does, as long as it runs. */
async function isOurs(port: number): Promise<boolean> {
  const sign = createSocket("udp4").unref();
  try {
    sign.bind({ port, address: "127.0.0.1", exclusive: true });
    await once(sign, "listening");
    return true;
  } catch (error) {
    sign.close();
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return false;
    throw error;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
