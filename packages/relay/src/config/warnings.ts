/** What is allowed, and will hardly do what was meant. Said at `config check`, at the start and at a reload; nothing is refused for it. */
import { publicAddresses } from "@waybill/node";
import type { ConfigFault } from "./faults.ts";
import type { Path, Places } from "./places.ts";
import { redactDoubts } from "./redact-paths.ts";
import type { RawConfig } from "./resolve.ts";

export function configWarnings({ environments, network }: RawConfig, places: Places): ConfigFault[] {
  const warnings: ConfigFault[] = [];
  const warn = (path: Path, message: string, hint: string): void => {
    warnings.push({ ...places.of(path), message, hint });
  };
  for (const [name, { sources, destinations }] of Object.entries(environments)) {
    const protocols = [...new Set(Object.values(sources).map(({ protocol }) => protocol))];
    for (const [destination, { url, flagsUrl, redact = [] }] of Object.entries(destinations)) {
      const at = ["environments", name, "destinations", destination];
      for (const [key, text] of [
        ["url", url],
        ["flagsUrl", flagsUrl],
      ] as const)
        if (network?.allowPrivateAddresses !== true && text !== undefined && isPrivate(text))
          warn(
            [...at, key],
            "is at a private address, which is refused when the connection is made: its events will wait",
            "network.allowPrivateAddresses: true allows such addresses",
          );
      for (const { index, message, hint } of redactDoubts(redact, protocols))
        warn([...at, "redact", index], message, hint);
    }
  }
  return warnings;
}

/** By its spelling alone; what a name leads to is known when it is looked up. */
function isPrivate(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname.toLowerCase().replace(/\.$/, "") : "";
  return host === "localhost" || host.endsWith(".localhost") || publicAddresses.isRefused(url);
}
