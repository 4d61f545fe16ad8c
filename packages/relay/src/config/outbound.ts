/**
 * How a destination's requests leave: its proxy and the CAs that it trusts. Its own `proxy` comes
 * first, then `network.proxy`, then `HTTPS_PROXY` and `HTTP_PROXY`; `NO_PROXY` does not apply to
 * its own.
 */
import { own } from "@waybill/core";
import { type OutboundOptions, type ProxyRules, proxyFault } from "@waybill/node";
import { checked } from "@waybill/vendors/config";
import { z } from "zod";
import type { ConfigFault } from "./faults.ts";
import type { OutsideFiles } from "./outside-files.ts";
import type { Path } from "./places.ts";
import type { ParsedConfig, ParsedDestination } from "./types.ts";

export type Env = Readonly<Record<string, string | undefined>>;

const DIRECTLY = "none";
const EXAMPLE = "http://user:password@proxy.internal:3128";

/** A proxy's URL or `none`. It may carry a password, so that it is never quoted. */
export function proxy(description: string): z.ZodType<string> {
  return checked(z.string().min(1), (value) => {
    const message = value === DIRECTLY ? undefined : proxyFault(value);
    return message === undefined ? undefined : { message, hint: `for example ${EXAMPLE}, or ${DIRECTLY}` };
  }).meta({ description, writeOnly: true, examples: [EXAMPLE, DIRECTLY] });
}

/** What the environment and `network.proxy` say of destinations without a proxy of their own. */
export function commonProxy(network: Pick<ParsedConfig["network"], "proxy">, env: Env): ProxyRules | undefined {
  if (network.proxy === DIRECTLY) return undefined;
  const http = network.proxy ?? variable(env, "HTTP_PROXY")?.value;
  const https = network.proxy ?? variable(env, "HTTPS_PROXY")?.value;
  const except = variable(env, "NO_PROXY")?.value;
  if (http === undefined && https === undefined) return undefined;
  return {
    ...(http === undefined ? {} : { http }),
    ...(https === undefined ? {} : { https }),
    ...(except === undefined ? {} : { except }),
  };
}

export function proxyVariableFaults(env: Env): readonly ConfigFault[] {
  return ["HTTP_PROXY", "HTTPS_PROXY"].flatMap((wanted) => {
    const found = variable(env, wanted);
    const message = found === undefined ? undefined : proxyFault(found.value);
    if (found === undefined || message === undefined) return [];
    const hint = `for example ${EXAMPLE}; unset it, or set network.proxy: ${DIRECTLY}`;
    return [{ file: "environment", line: 0, column: 0, path: found.name, message, hint }];
  });
}

/** In lower case first, as curl does. */
function variable(env: Env, name: string): { readonly name: string; readonly value: string } | undefined {
  for (const spelling of [name.toLowerCase(), name]) {
    const value = own(env, spelling);
    if (value !== undefined && value !== "") return { name: spelling, value };
  }
  return undefined;
}

export function caFaults(
  { environments }: Pick<ParsedConfig, "environments">,
  files: OutsideFiles,
  fault: (path: Path, message: string, hint?: string) => void,
): void {
  for (const [environment, { destinations }] of Object.entries(environments))
    for (const [name, destination] of Object.entries(destinations)) {
      if (!("ca" in destination) || destination.ca === undefined) continue;
      const found = files.certificates(destination.ca);
      if ("fault" in found)
        fault(
          ["environments", environment, "destinations", name, "ca"],
          `is ${destination.ca}, which ${found.fault}`,
          "it must be a file of certificates in PEM that the relay may read",
        );
    }
}

/** `undefined` when its requests leave as all others. */
export function outboundOf(
  destination: ParsedDestination,
  common: ProxyRules | undefined,
  files: OutsideFiles,
): OutboundOptions | undefined {
  if (destination.vendor === "file") return undefined;
  const rules = ownProxy(destination.proxy) ?? (destination.proxy === DIRECTLY ? undefined : common);
  const found = destination.ca === undefined ? undefined : files.certificates(destination.ca);
  const ca = found !== undefined && "certificates" in found ? found.certificates : undefined;
  if (rules === undefined && ca === undefined) return undefined;
  return { ...(rules === undefined ? {} : { proxy: rules }), ...(ca === undefined ? {} : { ca }) };
}

function ownProxy(text: string | undefined): ProxyRules | undefined {
  return text === undefined || text === DIRECTLY ? undefined : { http: text, https: text, loopback: true };
}
