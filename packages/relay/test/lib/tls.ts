/** Certificates made at test time, and the other end of TLS. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { defer, nodeClock } from "@waybill/node";
import { createTestCa, type Identity } from "@waybill/testing";
import type { CreateServer } from "../../src/lifecycle/servers.ts";
import type { TlsFiles } from "../../src/tls/certificate.ts";
import { TlsEnd } from "../../src/tls/tls-end.ts";

export const CA = createTestCa();
export const NAME = "localhost";

/** While it is on, servers and connections of the tests speak TLS: for tests that run both ways. */
export const overTls = { isOn: false };

const folder = mkdtempSync(join(tmpdir(), "waybill-tls-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let made = 0;

/** In files of their own. */
export function filesOf({ cert, key }: Identity = CA.issue(NAME)): TlsFiles {
  const files = { cert: join(folder, `${++made}.crt`), key: join(folder, `${made}.key`) };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  return files;
}

export const unwritten = (): void => undefined;

/** For a server of a test; `undefined` while it is not on. */
export async function secureServer(): Promise<CreateServer | undefined> {
  if (!overTls.isOn) return undefined;
  const end = await TlsEnd.open({ port: "intake", files: filesOf(), clock: nodeClock, write: unwritten, defer });
  return (options, listener) => end.createServer(options, listener);
}

export function dialTls(url: string, options: ConnectionOptions = {}): TLSSocket {
  const socket = connect(Number(new URL(url).port), "127.0.0.1").setNoDelay();
  return connectTls({ socket, servername: NAME, ca: CA.cert, ...options });
}

/** By the scheme of the URL. */
export function dial(url: string): Socket {
  return url.startsWith("https:") ? dialTls(url) : connect(Number(new URL(url).port), "127.0.0.1");
}

/** What a connection of {@link dial} emits when it can be written to. */
export function openedBy(url: string): "secureConnect" | "connect" {
  return url.startsWith("https:") ? "secureConnect" : "connect";
}
