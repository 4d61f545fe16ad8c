/** The relay's two HTTP servers: one for events, one for the admin API. */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, messageOf, WaybillError } from "@waybill/core";
import type { RelayConfig } from "../config/types.ts";
import { Drain } from "../intake/drain.ts";

export interface ServerTimeouts {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/** Makes a server whose answers go through `drain`. */
export type MakeServer = (drain: Drain) => Server;

interface Listening {
  readonly server: Server;
  readonly drain: Drain;
}

const BACKLOG = 1_024;

export class Servers {
  #listening: readonly Listening[] = [];
  intakeUrl = "";
  adminUrl = "";

  /** **Errors**: `WAYBILL_LISTEN`. */
  async listen(
    { listen, admin }: Pick<RelayConfig, "listen" | "admin">,
    make: { readonly intake: MakeServer; readonly admin: MakeServer },
  ): Promise<void> {
    const [intakeDrain, adminDrain] = [new Drain(), new Drain()];
    const intakeServer = make.intake(intakeDrain);
    const adminServer = make.admin(adminDrain);
    this.#listening = [
      { server: intakeServer, drain: intakeDrain },
      { server: adminServer, drain: adminDrain },
    ];
    this.intakeUrl = await listenOn(intakeServer, listen, "listen");
    this.adminUrl = await listenOn(adminServer, admin, "admin.listen");
  }

  setTimeouts({ headersTimeoutMs, requestTimeoutMs }: ServerTimeouts): void {
    for (const { server } of this.#listening) {
      server.headersTimeout = headersTimeoutMs;
      server.requestTimeout = requestTimeoutMs;
    }
  }

  /** Takes no new connections, and ends those that there are: see {@link Drain}. */
  async end(clock: Clock, deadlineMs: number): Promise<void> {
    await Promise.all(this.#listening.map(({ server, drain }) => drain.end(server, clock, deadlineMs)));
  }
}

/** `setting`: whose address it is. */
async function listenOn(
  server: Server,
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
  return `http://${shown}:${port}`;
}
