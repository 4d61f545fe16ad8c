/** Where the relay takes events: its configuration has the port, the reader's browser the host. */

/** Addresses that mean all of a machine's own. */
const ALL_ADDRESSES = new Set(["0.0.0.0", "[::]", "::", ""]);
const DEFAULT_LISTEN = "0.0.0.0:8080";

export interface Configured {
  /** The configuration in force. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface Page {
  readonly hostname: string;
  readonly protocol: string;
}

/** `http://127.0.0.1:8080`. */
export function intakeOf(configured: Configured | undefined, page: Page): string {
  const { host, port } = addressOf(configured?.config["listen"]) ?? addressOf(DEFAULT_LISTEN) ?? { host: "", port: "" };
  return `${page.protocol}//${ALL_ADDRESSES.has(host) ? page.hostname : host}:${port}`;
}

interface Address {
  readonly host: string;
  readonly port: string;
}

/** Written as one text, or as host and port. */
function addressOf(listen: unknown): Address | undefined {
  if (typeof listen === "string") {
    const colon = listen.lastIndexOf(":");
    return { host: listen.slice(0, Math.max(0, colon)), port: listen.slice(colon + 1) };
  }
  if (typeof listen !== "object" || listen === null) return undefined;
  const { host, port } = listen as { readonly host?: unknown; readonly port?: unknown };
  return { host: String(host ?? ""), port: String(port ?? "") };
}
