/**
 * Which proxy a request goes through, by the rules of curl: a proxy for each scheme, and hosts that
 * are reached directly.
 */
import { isIP } from "node:net";

export interface ProxyRules {
  /** URL of the proxy for `http:` requests; with its credentials, so it is a secret. */
  readonly http?: string;
  /** The same for `https:` requests. */
  readonly https?: string;
  /** Hosts that are reached directly, as in `NO_PROXY`. Default: none. */
  readonly except?: string;
  /** Whether hosts of this machine are reached through the proxy too. Default: false. */
  readonly loopback?: boolean;
}

/** A proxy, taken apart. */
export interface Proxy {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Of `proxy-authorization`. */
  readonly authorization?: string;
  /** For messages: without credentials. */
  readonly shown: string;
}

const PORTS: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/** What is wrong with the URL of a proxy, without quoting it; `undefined` when nothing is. */
export function proxyFault(text: string): string | undefined {
  const url = urlOf(text);
  if (url === undefined) return "is not the URL of a proxy";
  if (PORTS[url.protocol] === undefined)
    return "is not a proxy that speaks HTTP: its URL begins with http:// or https://";
  if (url.hostname === "" || url.port === "0") return "has no host or no port";
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") return "has more than a host and a port";
  return credentialsOf(url) === undefined ? "has a user or password that is not encoded as in a URL" : undefined;
}

/** The proxy for a request; `undefined` when it goes directly. */
export function proxyFor(rules: ProxyRules, url: string): Proxy | undefined {
  const { protocol, hostname, port } = new URL(url);
  const proxy = protocol === "https:" ? rules.https : rules.http;
  if (proxy === undefined) return undefined;
  const host = plainHost(hostname);
  if (rules.loopback !== true && isLoopback(host)) return undefined;
  const isDirect = isExcepted({ host, port: port === "" ? PORTS[protocol] : Number(port) }, rules.except ?? "");
  return isDirect ? undefined : parseProxy(proxy);
}

/** A URL that has no fault. */
function parseProxy(text: string): Proxy | undefined {
  const url = urlOf(text);
  if (url === undefined) return undefined;
  const credentials = credentialsOf(url) ?? "";
  return {
    secure: url.protocol === "https:",
    host: plainHost(url.hostname),
    port: url.port === "" ? (PORTS[url.protocol] ?? 0) : Number(url.port),
    ...(credentials === "" ? {} : { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` }),
    shown: url.origin,
  };
}

/** Without a scheme it is `http:`, as everywhere else. */
function urlOf(text: string): URL | undefined {
  const whole = text.includes("://") ? text : `http://${text}`;
  return URL.canParse(whole) ? new URL(whole) : undefined;
}

/** `user:password`, "" when the URL has neither; `undefined` when they cannot be decoded. */
function credentialsOf({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return "";
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    return undefined;
  }
}

/** Entries are names (and all names below), addresses, either with a port, or `*`. */
function isExcepted(target: { readonly host: string; readonly port: number | undefined }, except: string): boolean {
  return except
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => entry === "*" || matches(entry.toLowerCase(), target));
}

function matches(entry: string, { host, port }: { readonly host: string; readonly port: number | undefined }): boolean {
  const [, name = "", wanted] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? ["", entry];
  if (wanted !== undefined && Number(wanted) !== port) return false;
  const plain = plainHost(name.replace(/^\*?\./, ""));
  return plain !== "" && (host === plain || (isIP(host) === 0 && host.endsWith(`.${plain}`)));
}

/** Lower-case, without the brackets of IPv6 and without the last dot. */
function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "");
}

/** By its spelling: a name of a URL is normal already. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
