/**
 * TLS of one port: its certificate, and the server that shows it.
 *
 * The files are looked at every {@link LOOK_EVERY_MS} and at each reload. Other files that are
 * right are shown to new connections; those that there are go on. Files that are wrong change
 * nothing: the certificate before is shown on, and the log, the metrics and the list of problems
 * say so. Who renews writes two files, one after the other: what is wrong is reported when it is
 * so twice.
 */
import { readFile, stat } from "node:fs/promises";
import type { Server as HttpServer, RequestListener, ServerOptions } from "node:http";
import { createServer, type Server } from "node:https";
import { type Clock, type Timer, WaybillError } from "@waybill/core";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { type Certificate, type CertificateFault, certificateFrom, type TlsFiles } from "./certificate.ts";
import { Handshakes } from "./handshakes.ts";

export type TlsPort = "intake" | "admin";

/** What can be seen of it. Times are epoch ms. */
export interface TlsView {
  readonly port: TlsPort;
  readonly validFrom: number;
  readonly validTo: number;
  readonly failedHandshakes: number;
  readonly openHandshakes: number;
  /** Since when files that are wrong are not taken over, and why. */
  readonly broken: { readonly since: number; readonly reason: string } | undefined;
}

export interface TlsEndOptions {
  readonly port: TlsPort;
  readonly files: TlsFiles;
  readonly clock: Clock;
  readonly write: WriteLine;
  readonly defer: (run: () => void) => void;
}

const LOOK_EVERY_MS = 10_000;
/** As that of a configuration's other files. */
const FILE_MAX_BYTES = 4 * 1024 * 1024;

export class TlsEnd {
  readonly #options: TlsEndOptions;
  readonly #handshakes: Handshakes;
  #files: TlsFiles;
  #certificate: Certificate;
  /** Of the files when they were read last. */
  #seen: string;
  #suspected: string | undefined;
  #broken: TlsView["broken"];
  #server: Server | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = false;

  private constructor(options: TlsEndOptions, certificate: Certificate, seen: string) {
    this.#options = options;
    this.#files = options.files;
    this.#certificate = certificate;
    this.#seen = seen;
    this.#handshakes = new Handshakes(options);
  }

  /** **Errors**: `WAYBILL_LISTEN` when the files are wrong. */
  static async open(options: TlsEndOptions): Promise<TlsEnd> {
    const { files, port } = options;
    const seen = await stateOf(files);
    const certificate = await read(files);
    if ("fault" in certificate)
      throw new WaybillError(
        "WAYBILL_LISTEN",
        `Cannot listen with TLS on the ${port}'s port: ${reasonOf(files, certificate)}`,
      );
    return new TlsEnd(options, certificate, seen);
  }

  get view(): TlsView {
    const { validFrom, validTo } = this.#certificate;
    const { failed: failedHandshakes, open: openHandshakes } = this.#handshakes;
    const { port } = this.#options;
    return { port, validFrom, validTo, failedHandshakes, openHandshakes, broken: this.#broken };
  }

  /** As `createServer` of `node:http`. Once. */
  createServer(options: ServerOptions, listener?: RequestListener): HttpServer {
    const server = createServer({ ...options, ...this.#certificate.options }, listener);
    this.#server = server;
    this.#handshakes.watch(server);
    this.#watch();
    return server;
  }

  /** Looks now, at these files from now on. Never rejects. */
  use(files: TlsFiles): Promise<void> {
    this.#files = files;
    return this.look();
  }

  /** Whether the files are others, and right. Never rejects; looks come one after another. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  /** Closes connections whose handshake is not over, and looks at no files any more. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#handshakes.cut();
  }

  #watch(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      void this.look().then(() => {
        if (!this.#isStopped) this.#watch();
      });
    });
  }

  async #look(): Promise<void> {
    const files = this.#files;
    const seen = await stateOf(files);
    if (seen === this.#seen) return;
    const found = await read(files);
    if ("fault" in found) return this.#refuse(reasonOf(files, found));
    this.#seen = seen;
    this.#suspected = undefined;
    this.#broken = undefined;
    if (found.fingerprint === this.#certificate.fingerprint && found.options.key === this.#certificate.options.key)
      return;
    this.#certificate = found;
    this.#server?.setSecureContext(found.options);
    const { write, port } = this.#options;
    const validTo = new Date(found.validTo).toISOString();
    write("certificate_replaced", { port, validTo, fingerprint: found.fingerprint });
  }

  #refuse(reason: string): void {
    const { write, port, clock } = this.#options;
    if (this.#suspected !== reason) {
      this.#suspected = reason;
      return;
    }
    if (this.#broken?.reason === reason) return;
    this.#broken = { since: this.#broken?.since ?? clock.now(), reason };
    const validTo = new Date(this.#certificate.validTo).toISOString();
    write("certificate_unusable", { port, reason, validTo });
  }
}

function reasonOf(files: TlsFiles, { of, fault }: CertificateFault): string {
  return `${files[of]} ${fault}`;
}

/** Another text when a file is another one, or was written. Links are followed. */
async function stateOf({ cert, key }: TlsFiles): Promise<string> {
  const states = [cert, key].map(async (path) => {
    try {
      const { ino, size, mtimeMs } = await stat(path);
      return `${path} ${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      return `${path} ${(error as NodeJS.ErrnoException).code}`;
    }
  });
  return (await Promise.all(states)).join("\n");
}

async function read(files: TlsFiles): Promise<Certificate | CertificateFault> {
  const texts: Record<keyof TlsFiles, string> = { cert: "", key: "" };
  for (const of of ["cert", "key"] as const) {
    try {
      const found = await stat(files[of]);
      if (!found.isFile()) return { of, fault: "is not a file" };
      if (found.size > FILE_MAX_BYTES) return { of, fault: `has more than ${FILE_MAX_BYTES} bytes` };
      texts[of] = await readFile(files[of], "utf8");
    } catch (error) {
      return { of, fault: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? "unknown"}` };
    }
  }
  return certificateFrom(texts.cert, texts.key);
}
