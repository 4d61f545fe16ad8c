/**
 * HTTP to destinations that are far away: through a proxy, with CAs of one's own, to public
 * addresses only.
 *
 * What a proxy connects to, only the proxy can see: through one, a URL that is a private address or
 * a name of this machine is refused, and names are the proxy's to look up. The proxy itself may be
 * anywhere.
 */
import type { Agent, RequestOptions } from "node:http";
import https from "node:https";
import type { HttpRequest, HttpResponse, Transport } from "@waybill/core";
import { WaybillError } from "@waybill/core";
import { publicAgent } from "../guarded-agent.ts";
import { privateUrlError, publicAddresses, publicRoute } from "../public-addresses.ts";
import { createNodeTransport, MAX_SOCKETS_DEFAULT, type NodeTransport } from "../transport.ts";
import { forwardAgent, type ProxyAgentOptions, tunnelAgent } from "./proxy-agents.ts";
import { refusedBy } from "./proxy-errors.ts";
import { isLoopback, type Proxy, type ProxyRules, proxyFor } from "./proxy-rules.ts";
import { trusting } from "./trusted-roots.ts";

export interface OutboundOptions {
  /** Default: none. */
  readonly proxy?: ProxyRules;
  /** Certificates in PEM that are trusted beside Node's roots. Default: none. */
  readonly ca?: readonly string[];
}

export interface OutboundTransportOptions extends OutboundOptions {
  /** Whether private addresses are refused. Default: false. */
  readonly publicOnly?: boolean;
  /** For a proxy to open a connection, in milliseconds. Default: 8 s. */
  readonly connectDeadlineMs?: number;
}

const AUTHENTICATION_REQUIRED = 407;

/**
 * As {@link createNodeTransport}, with these options. `close` lets requests in flight end, and
 * closes their connections after them.
 */
export function createOutboundTransport(options: OutboundTransportOptions): NodeTransport {
  const routes = new Routes(options);
  const transport = createNodeTransport({ route: (request, signal) => routes.of(request, signal) });
  let inFlight = 0;
  let isClosing = false;
  const closeIdle = (): void => {
    if (!isClosing || inFlight > 0) return;
    routes.close();
    transport.close();
  };
  const counted: Transport = async (request, signal) => {
    inFlight++;
    try {
      return await through(routes, transport, request, signal);
    } finally {
      inFlight--;
      closeIdle();
    }
  };
  return Object.assign(counted, {
    close(): void {
      isClosing = true;
      closeIdle();
    },
  });
}

/**
 * An agent for requests to the host of `url` of which only the agent can be chosen, such as those
 * of a vendor's SDK. `undefined`: Node's own does.
 */
export function createOutboundAgent(options: OutboundTransportOptions, url: string): Agent | undefined {
  const { publicOnly = false } = options;
  const proxy = options.proxy === undefined ? undefined : proxyFor(options.proxy, url);
  const isSecure = url.startsWith("https:");
  const pool = poolOf(options);
  // A private address meets the guard, which refuses it.
  if (proxy !== undefined && !(publicOnly && isPrivate(url))) return tunnelAgent(proxy, pool, isSecure);
  if (publicOnly) return publicAgent(isSecure, pool.secureContext);
  return options.ca === undefined || !isSecure ? undefined : new https.Agent({ keepAlive: true, ...pool });
}

function poolOf({ ca, connectDeadlineMs }: OutboundTransportOptions): ProxyAgentOptions {
  return {
    maxSockets: MAX_SOCKETS_DEFAULT,
    ...(ca === undefined ? {} : { secureContext: trusting(ca) }),
    ...(connectDeadlineMs === undefined ? {} : { connectDeadlineMs }),
  };
}

async function through(
  routes: Routes,
  transport: Transport,
  request: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const proxy = routes.proxyOf(request.url);
  if (proxy === undefined) return await transport(request, signal);
  const to = new URL(request.url).origin;
  const { authorization } = proxy;
  const isForwarded = authorization !== undefined && request.url.startsWith("http:");
  const sent = isForwarded
    ? { ...request, headers: { ...request.headers, "proxy-authorization": authorization } }
    : request;
  const answer = await transport(sent, signal).catch((error: unknown) => {
    throw namingProxy(error, proxy);
  });
  // In a tunnel the proxy has no say any more.
  if (answer.status === AUTHENTICATION_REQUIRED && request.url.startsWith("http:"))
    throw refusedBy(proxy, to, answer.status);
  return answer;
}

/** What went wrong may be the proxy's doing, whoever closed the connection. */
function namingProxy(error: unknown, proxy: Proxy): unknown {
  if (!(error instanceof WaybillError) || error.message.includes(`the proxy ${proxy.shown}`)) return error;
  return new WaybillError(error.code, `${error.message} (through the proxy ${proxy.shown})`, {
    ...(error.reason === undefined ? {} : { reason: error.reason }),
    retryable: error.retryable,
    cause: error.cause,
  });
}

/** How each request gets to its host. Holds the agents that a plain transport has not. */
class Routes {
  readonly #options: OutboundTransportOptions;
  readonly #pool: ProxyAgentOptions;
  /** By scheme and proxy. */
  readonly #agents = new Map<string, Agent>();

  constructor(options: OutboundTransportOptions) {
    this.#options = options;
    this.#pool = poolOf(options);
  }

  proxyOf(url: string): Proxy | undefined {
    const { proxy } = this.#options;
    return proxy === undefined || !URL.canParse(url) ? undefined : proxyFor(proxy, url);
  }

  of(request: HttpRequest, wantedUntil: AbortSignal): RequestOptions {
    const { publicOnly = false } = this.#options;
    const { url } = request;
    const isSecure = url.startsWith("https:");
    const proxy = this.proxyOf(url);
    if (proxy === undefined)
      return {
        ...(publicOnly ? (publicRoute(request) as RequestOptions) : {}),
        ...(isSecure && this.#pool.secureContext !== undefined ? { agent: this.#directAgent() } : {}),
      };
    if (publicOnly && isPrivate(url)) throw privateUrlError(url);
    const make = isSecure ? tunnelAgent : forwardAgent;
    const agent = this.#agent(`${isSecure} ${proxy.shown}`, () => make(proxy, this.#pool));
    const options = { agent, wantedUntil };
    return isSecure ? options : { ...options, path: withoutCredentials(url) };
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  #directAgent(): Agent {
    return this.#agent("", () => new https.Agent({ keepAlive: true, scheduling: "lifo", ...this.#pool }));
  }

  #agent(name: string, make: () => Agent): Agent {
    const known = this.#agents.get(name);
    if (known !== undefined) return known;
    const agent = make();
    this.#agents.set(name, agent);
    return agent;
  }
}

function isPrivate(url: string): boolean {
  return publicAddresses.isRefused(url) || isLoopback(new URL(url).hostname.replace(/^\[|\]$|\.$/g, ""));
}

/** A URL as the target of a request has neither credentials nor a fragment. */
function withoutCredentials(url: string): string {
  const { origin, pathname, search } = new URL(url);
  return `${origin}${pathname}${search}`;
}
