/** The relay's two HTTP servers: one for events, one for the admin API. */
import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import type { AddressInfo, ListenOptions } from "node:net";
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import { defer } from "@waybill/node";
import { isLoopback } from "../admin/guard.ts";
import type { Address, RelayConfig } from "../config/types.ts";
import { Drain } from "../intake/drain.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import type { TlsFiles } from "../tls/certificate.ts";
import { TlsEnd, type TlsPort, type TlsView } from "../tls/tls-end.ts";
import type { GivenSockets } from "./given-sockets.ts";

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

/** Connections that wait to be taken. */
const BACKLOG = 1_024;
/** During a restart all clients may wait; the kernel allows no more than `net.core.somaxconn`. */
const GIVEN_BACKLOG = 4_096;

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

  /** On `sockets` instead of the addresses where they are given. **Errors**: `WAYBILL_LISTEN`. */
  async listen(
    { listen, admin, tls }: Pick<RelayConfig, "listen" | "admin" | "tls">,
    make: { readonly intake: MakeServer; readonly admin: MakeServer },
    sockets: GivenSockets = {},
  ): Promise<void> {
    const intake = await this.#make("intake", tls, make.intake);
    const forAdmin = await this.#make("admin", admin.tls, make.admin);
    this.#listening = [intake, forAdmin];
    this.intakeUrl = await listenOn(intake, placeOf({ ...listen, setting: "listen" }, sockets, "intake"));
    this.adminUrl = await listenOn(forAdmin, placeOf({ ...admin, setting: "admin.listen" }, sockets, "admin"));
    if (sockets.admin !== undefined && admin.token === undefined) refusePublic(forAdmin.server);
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

/** Where to listen, and how an error names it. */
interface Place {
  readonly options: ListenOptions & { readonly fd?: number };
  readonly backlog: number;
  readonly name: string;
  readonly reason: string;
  readonly hint: string;
}

function placeOf(
  { host, port, setting }: Address & { readonly setting: "listen" | "admin.listen" },
  sockets: GivenSockets,
  name: keyof GivenSockets,
): Place {
  const { [name]: fd } = sockets;
  if (fd === undefined)
    return {
      options: { host, port },
      backlog: BACKLOG,
      name: `${host}:${port}`,
      reason: setting,
      hint: `Another process may use the port; choose another with ${setting}.`,
    };
  return {
    options: { fd },
    backlog: GIVEN_BACKLOG,
    name: `the socket ${name}, file descriptor ${fd}`,
    reason: "LISTEN_FDS",
    hint: "The service manager has to pass a TCP socket that listens.",
  };
}

async function listenOn({ server, tls }: Listening, { options, backlog, name, reason, hint }: Place): Promise<string> {
  const refused = (fault: string, cause?: unknown): WaybillError =>
    new WaybillError("WAYBILL_LISTEN", `Cannot listen on ${name}: ${fault}`, { cause, reason, hint });
  // Of a file descriptor, Node reads the backlog here alone.
  server.listen(options, backlog);
  try {
    await once(server, "listening");
  } catch (error) {
    throw refused(messageOf(error), error);
  }
  const found = server.address();
  // Of a Unix socket there is no port.
  if (found === null || typeof found === "string") throw refused("it is not a TCP socket");
  const { address: host, port, family } = found;
  const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : family === "IPv6" ? `[${host}]` : host;
  return `${tls === undefined ? "http" : "https"}://${shown}:${port}`;
}

/** Of an address in the configuration, the configuration's check has seen to it. */
function refusePublic(server: Server): void {
  const { address } = server.address() as AddressInfo;
  if (isLoopback(address)) return;
  throw new WaybillError("WAYBILL_LISTEN", `The socket admin listens on ${address}, and there is no admin.token`, {
    reason: "LISTEN_FDS",
    hint: "Set a token (WAYBILL_ADMIN_TOKEN), or ListenStream=127.0.0.1:8081 in the socket's unit.",
  });
}
