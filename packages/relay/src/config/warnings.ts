/**
 * What is allowed, and will hardly do what was meant. Said at `config check`, at the start and at a
 * reload; nothing is refused for it.
 */
import { publicAddresses } from "@waybill/node";
import type { ConfigFault } from "./faults.ts";
import { kafkaWarnings } from "./kafka.ts";
import type { Path, Places } from "./places.ts";
import { redactDoubts } from "./redact-paths.ts";
import type { ParsedConfig } from "./types.ts";

export function configWarnings(config: ParsedConfig, places: Places): ConfigFault[] {
  const { environments, network } = config;
  const warnings: ConfigFault[] = [];
  const warn = (path: Path, message: string, hint: string): void => {
    warnings.push({ ...places.of(path), message, hint });
  };
  for (const [name, { sources, destinations }] of Object.entries(environments)) {
    const protocols = [...new Set(Object.values(sources).map(({ protocol }) => protocol))];
    for (const [destination, options] of Object.entries(destinations)) {
      const { redact = [] } = options;
      const at = ["environments", name, "destinations", destination];
      for (const [option, value] of Object.entries(options))
        if (!network.allowPrivateAddresses && isUrlOption(option) && typeof value === "string" && isPrivate(value))
          warn(
            [...at, option],
            "is at a private address, which is refused when the connection is made: its events will wait",
            "network.allowPrivateAddresses: true allows such addresses",
          );
      for (const { index, message, hint } of redactDoubts(redact, protocols))
        warn([...at, "redact", index], message, hint);
    }
  }
  kafkaWarnings(config, warn);
  return warnings;
}

/** The options that have an address are named so. */
function isUrlOption(option: string): boolean {
  return option === "url" || option.endsWith("Url");
}

/** By its spelling alone; what a name leads to is known when it is looked up. */
function isPrivate(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname.toLowerCase().replace(/\.$/, "") : "";
  return host === "localhost" || host.endsWith(".localhost") || publicAddresses.isRefused(url);
}
