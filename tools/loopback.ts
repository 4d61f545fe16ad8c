/** Keeps what runs in this process from connecting to other machines. */
import { type NetConnectOpts, Socket } from "node:net";

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1|::ffff:127(?:\.\d{1,3}){3})$/;

export interface Refusals {
  /** The hosts that were refused since it was last called. */
  take(): readonly string[];
  /** From here on everything may be connected to again. */
  end(): void;
}

type Connect = (this: Socket, ...args: unknown[]) => Socket;

/** A socket to another machine fails, without a packet or a look-up of its name. */
export function refuseOtherMachines(): Refusals {
  const sockets = Socket.prototype as unknown as { connect: Connect };
  const { connect } = sockets;
  let refused: string[] = [];
  sockets.connect = function (...args) {
    const host = hostOf(args);
    if (LOOPBACK.test(host)) return connect.apply(this, args);
    refused.push(host);
    process.nextTick(() => this.destroy(new Error(`a light test may not connect to ${host}`)));
    return this;
  };
  return {
    take() {
      const taken = refused;
      refused = [];
      return taken;
    },
    end() {
      sockets.connect = connect;
    },
  };
}

/** Node's own modules call it with one array that has all arguments. */
function hostOf(args: readonly unknown[]): string {
  const [first, second] = Array.isArray(args[0]) ? (args[0] as readonly unknown[]) : args;
  if (typeof first !== "object" || first === null) return typeof second === "string" ? second : "localhost";
  const options = first as Partial<NetConnectOpts> & { readonly host?: string };
  return "path" in options && options.path !== undefined ? "localhost" : (options.host ?? "localhost");
}
