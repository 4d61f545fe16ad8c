/** The relay's two HTTP servers: one for events, one for the admin API. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import { defer } from "@waybill/node";
import type { RelayConfig } from "../config/types.ts";
import { Drain } from "../intake/drain.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import type { TlsFiles } from "../tls/certificate.ts";
import { TlsEnd, type TlsPort, type TlsView } from "../tls/tls-end.ts";

export interface ServerTimeouts {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/** That of `node:http`, or one that speaks TLS. */
export type CreateServer = (options: ServerOptions, listener?: RequestListener) => Server;

/** Makes a server whose answers go through `drain`. */
export type MakeServer = (drain: Drain, createServer: CreateServer) => Server;

interface Listening {
  readonly server: Server;
  readonly drain: Drain;
  readonly tls: TlsEnd | undefined;
}

const BACKLOG = 1_024;

export class Servers {
  #listening: readonly Listening[] = [];
  intakeUrl = "";
  adminUrl = "";

  readonly #around: { readonly clock: Clock; readonly write: WriteLine };

  constructor(around: { readonly clock: Clock; readonly write: WriteLine }) {
    this.#around = around;
  }

  /** Of the ports that speak TLS. */
  get certificates(): readonly TlsView[] {
    return this.#listening.flatMap(({ tls }) => (tls === undefined ? [] : [tls.view]));
  }

  /** **Errors**: `WAYBILL_LISTEN`. */
  async listen(
    { listen, admin, tls }: Pick<RelayConfig, "listen" | "admin" | "tls">,
    make: { readonly intake: MakeServer; readonly admin: MakeServer },
  ): Promise<void> {
    const intake = await this.#make("intake", tls, make.intake);
    const forAdmin = await this.#make("admin", admin.tls, make.admin);
    this.#listening = [intake, forAdmin];
    this.intakeUrl = await listenOn(intake, listen, "listen");
    this.adminUrl = await listenOn(forAdmin, admin, "admin.listen");
  }

  async #make(port: TlsPort, files: TlsFiles | undefined, make: MakeServer): Promise<Listening> {
    const drain = new Drain();
    const tls = files === undefined ? undefined : await TlsEnd.open({ port, files, ...this.#around, defer });
    const create: CreateServer =
      tls === undefined ? createServer : (options, listener) => tls.createServer(options, listener);
    return { server: make(drain, create), drain, tls };
  }

  /** Looks at the files of the certificates now. Never rejects. */
  async useCertificates({ tls, admin }: Pick<RelayConfig, "admin" | "tls">): Promise<void> {
    const [intake, forAdmin] = this.#listening;
    await Promise.all([tls && intake?.tls?.use(tls), admin.tls && forAdmin?.tls?.use(admin.tls)]);
  }

  setTimeouts({ headersTimeoutMs, requestTimeoutMs }: ServerTimeouts): void {
    for (const { server } of this.#listening) {
      server.headersTimeout = headersTimeoutMs;
      server.requestTimeout = requestTimeoutMs;
    }
  }

  /** Takes no new connections, and ends those that there are: see {@link Drain}. */
  async end(clock: Clock, deadlineMs: number): Promise<void> {
    await Promise.all(
      this.#listening.map(({ server, drain, tls }) => {
        tls?.stop();
        return drain.end(server, clock, deadlineMs);
      }),
    );
  }
}

/** `setting`: whose address it is. */
async function listenOn(
  { server, tls }: Listening,
  address: { readonly host: string; readonly port: number },
  setting: "listen" | "admin.listen",
): Promise<string> {
  server.listen({ host: address.host, port: address.port, backlog: BACKLOG });
  try {
    await once(server, "listening");
  } catch (error) {
    throw new WaybillError("WAYBILL_LISTEN", `Cannot listen on ${address.host}:${address.port}: ${messageOf(error)}`, {
      cause: error,
      reason: setting,
      hint: `Another process may use the port; choose another with ${setting}.`,
    });
  }
  const { address: host, port, family } = server.address() as AddressInfo;
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : family === "IPv6" ? `[${host}]` : host;
  return `${tls === undefined ? "http" : "https"}://${shown}:${port}`;
}
