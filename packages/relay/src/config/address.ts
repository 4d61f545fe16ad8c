import type { Address } from "./types.ts";

const PORT_MAX = 65_535;

/** `host:port` or `[v6]:port`; `undefined` for anything else. */
export function addressOf(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match === null || port > PORT_MAX ? undefined : { host: (match[1] ?? match[2]) as string, port };
}
