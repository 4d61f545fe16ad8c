/** Where the relay takes events: its configuration has the port, the reader's browser the host. */

/** Addresses that mean all of a machine's own. */
const ALL_ADDRESSES = new Set(["0.0.0.0", "[::]", "::", ""]);
const DEFAULT_PORT = "8080";

export interface Configured {
  /** The configuration in force as text: YAML or JSON. */
  readonly text: string;
}

export interface Page {
  readonly hostname: string;
  readonly protocol: string;
}

/** `http://127.0.0.1:8080`. */
export function intakeOf(config: Configured | undefined, page: Page): string {
  const found = /^\s*"?listen"?\s*:\s*"?([^"\s,#]+)"?/m.exec(config?.text ?? "")?.[1] ?? `0.0.0.0:${DEFAULT_PORT}`;
  const colon = found.lastIndexOf(":");
  const host = found.slice(0, Math.max(0, colon));
  const port = found.slice(colon + 1);
  return `${page.protocol}//${ALL_ADDRESSES.has(host) ? page.hostname : host}:${port}`;
}
