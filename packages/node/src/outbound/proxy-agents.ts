/**
 * Agents whose connections go through a proxy: by CONNECT for `https:`, with the whole URL as the
 * target for `http:`. They pool connections as Node's own agents do; all that differs is how one is
 * made.
 *
 * Own code, because the published agents do not keep what a transport promises: a CONNECT that ends
 * with its request, a deadline, an answer of bounded length, and a proxy's refusal that is never
 * taken for an answer of the destination. The parser is Node's, with its limit for a head.
 */
import http, { type ClientRequest } from "node:http";
import https from "node:https";
import net, { isIPv6 } from "node:net";
import tls, { type SecureContext } from "node:tls";
import { nodeClock } from "../clock.ts";
import { failedAt, proxyError, refusedBy } from "./proxy-errors.ts";
import type { Proxy } from "./proxy-rules.ts";

/** A proxy that says nothing is reported before the default timeout of a request is over. */
const CONNECT_DEADLINE_MS = 8_000;
const OK_MIN = 200;
const OK_MAX = 299;

export interface ProxyAgentOptions {
  readonly maxSockets: number;
  /** Whom TLS trusts, towards the proxy as towards the destination. Default: Node's roots. */
  readonly secureContext?: SecureContext;
  /** For a proxy to open a connection. Default: 8 s. */
  readonly connectDeadlineMs?: number;
}

/** What an agent is given for a connection: the options of a request, and our own. */
interface Target {
  readonly host?: string;
  readonly port?: number | string;
  /** Aborted when the request that wants the connection is. */
  readonly wantedUntil?: AbortSignal;
}

type Done = (error: Error | null, socket?: net.Socket) => void;
type Connect = (target: Target, done: Done) => net.Socket | undefined;

/** Node's types leave this method out. */
interface Connecting {
  createConnection: Connect;
}

/** For `https:`, or for any request of which only the agent can be chosen. */
export function tunnelAgent(proxy: Proxy, options: ProxyAgentOptions, isSecure = true): http.Agent {
  const agent = isSecure ? new https.Agent(poolOf(options)) : new http.Agent(poolOf(options));
  const connecting = agent as unknown as Connecting;
  const plain = connecting.createConnection.bind(agent) as (target: object) => net.Socket;
  const underWay = new Set<ClientRequest>();
  connecting.createConnection = (target, done) => {
    openTunnel({ proxy, target, options, underWay, isSecure }, (error, socket) => {
      if (socket === undefined) return done(error);
      done(null, isSecure ? plain({ ...target, socket }) : socket);
    });
    return undefined;
  };
  const destroy = agent.destroy.bind(agent);
  agent.destroy = () => {
    for (const outgoing of underWay) outgoing.destroy();
    destroy();
  };
  return agent;
}

/** For `http:`: the proxy gets the whole URL as the path, and credentials in a header. */
export function forwardAgent(proxy: Proxy, options: ProxyAgentOptions): http.Agent {
  const agent = new http.Agent(poolOf(options));
  const { host, port } = proxy;
  const { secureContext } = options;
  (agent as unknown as Connecting).createConnection = () =>
    proxy.secure
      ? tls.connect({ host, port, ...nameOf(host), ...(secureContext === undefined ? {} : { secureContext }) })
      : net.connect({ host, port });
  return agent;
}

function poolOf({ maxSockets, secureContext }: ProxyAgentOptions): https.AgentOptions {
  return {
    keepAlive: true,
    maxSockets,
    scheduling: "lifo",
    ...(secureContext === undefined ? {} : { secureContext }),
  };
}

/** An address is not a name that TLS could ask for. */
function nameOf(host: string): { readonly servername?: string } {
  return net.isIP(host) === 0 ? { servername: host } : {};
}

interface Tunnel {
  readonly proxy: Proxy;
  readonly target: Target;
  readonly options: ProxyAgentOptions;
  readonly underWay: Set<ClientRequest>;
  readonly isSecure: boolean;
}

/** Calls `done` once: with a connection to the target, or with why there is none. */
function openTunnel({ proxy, target, options, underWay, isSecure }: Tunnel, done: Done): void {
  const { host = "localhost", port = isSecure ? 443 : 80, wantedUntil } = target;
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const to = new URL(`${isSecure ? "https" : "http"}://${authority}`).origin;
  const deadlineMs = options.connectDeadlineMs ?? CONNECT_DEADLINE_MS;
  const outgoing = connectRequest(proxy, authority, options);
  let isDone = false;
  const end: Done = (error, socket) => {
    if (isDone) return void socket?.destroy();
    isDone = true;
    timer.cancel();
    wantedUntil?.removeEventListener("abort", abort);
    underWay.delete(outgoing);
    if (socket === undefined) outgoing.destroy();
    done(error, socket);
  };
  const abort = (): void => end(new Error("aborted"));
  const timer = nodeClock.after(deadlineMs, () =>
    end(proxyError(proxy, to, `opened no connection within ${deadlineMs} ms`, { reason: "proxy", retryable: true })),
  );
  underWay.add(outgoing);
  outgoing.on("socket", (socket) => socket.unref());
  outgoing.on("error", (error) => end(failedAt(proxy, to, error)));
  outgoing.on("close", () => end(failedAt(proxy, to, Object.assign(new Error(), { code: "ECONNRESET" }))));
  outgoing.on("connect", ({ statusCode: status = 0 }, socket: net.Socket, early: Buffer) => {
    const isOpen = status >= OK_MIN && status <= OK_MAX;
    // A destination of TLS does not begin to talk: these bytes are not its own.
    const isClean = early.length === 0;
    if (isOpen && isClean) return end(null, socket);
    socket.destroy();
    end(isOpen ? failedAt(proxy, to, Object.assign(new Error(), { code: "HPE_EARLY" })) : refusedBy(proxy, to, status));
  });
  if (wantedUntil?.aborted === true) return abort();
  wantedUntil?.addEventListener("abort", abort, { once: true });
  outgoing.end();
}

function connectRequest(proxy: Proxy, authority: string, { secureContext }: ProxyAgentOptions): ClientRequest {
  const { host, port, secure, authorization } = proxy;
  return (secure ? https : http).request({
    host,
    port,
    method: "CONNECT",
    path: authority,
    agent: false,
    ...nameOf(host),
    ...(secureContext === undefined ? {} : { secureContext }),
    // Without it Node announces that it will close the connection, and some proxies do so then.
    headers: {
      host: authority,
      connection: "keep-alive",
      ...(authorization === undefined ? {} : { "proxy-authorization": authorization }),
    },
  });
}
