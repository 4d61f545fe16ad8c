import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Beside those that systems choose for connections and for servers that want any port. */
const FIRST = 20_000;
const END = 32_000;

let next: number | undefined;

/**
 * A port of 127.0.0.1 that nobody listens on, another one with each call: for a server that must
 * know its port before it starts. Only another process that asks for this very port can take it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port: number = next ?? randomInt(FIRST, END);
    next = port + 1 < END ? port + 1 : FIRST;
    if (await isFree(port)) return port;
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
