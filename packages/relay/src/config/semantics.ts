/**
 * What must hold between parts of a configuration. Keys, tokens and the like are never a part of a
 * message.
 */
import { nearest } from "@waybill/core";
import type { InboundKey } from "@waybill/vendors/config";
import { isLoopback } from "../admin/guard.ts";
import { certificateFrom, type TlsFiles } from "../tls/certificate.ts";
import type { ConfigFault } from "./faults.ts";
import { filePathFaults } from "./file-paths.ts";
import { kafkaFaults } from "./kafka.ts";
import { caFaults } from "./outbound.ts";
import type { OutsideFiles } from "./outside-files.ts";
import type { Path, Places } from "./places.ts";
import type { ParsedConfig, ParsedEnvironment, ParsedSource } from "./types.ts";
import { vendorConfigOf } from "./vendor-configs.ts";

type Fault = (path: Path, message: string, hint?: string) => void;

export function semanticFaults(config: ParsedConfig, places: Places, files: OutsideFiles): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const fault: Fault = (path, message, hint) => {
    faults.push({ ...places.of(path), message, ...(hint === undefined ? {} : { hint }) });
  };
  relayFaults(config, fault);
  const owners = new Owners(fault);
  for (const [name, environment] of Object.entries(config.environments)) {
    for (const [source, parsed] of Object.entries(environment.sources))
      sourceFaults(parsed, { environment: name, source }, owners);
    routingFaults(environment, ["environments", name], { fault, places });
  }
  filePathFaults(config, fault);
  caFaults(config, files, fault);
  kafkaFaults(config, files, fault);
  tlsFaults(config.tls, ["tls"], { files, fault });
  tlsFaults(config.admin.tls, ["admin", "tls"], { files, fault });
  return faults;
}

function relayFaults({ admin, limits, retention }: ParsedConfig, fault: Fault): void {
  if (!isLoopback(admin.listen.host.toLowerCase()) && admin.token === undefined)
    fault(
      ["admin", "listen"],
      "is not loopback, and there is no admin.token",
      "set a token (WAYBILL_ADMIN_TOKEN), or listen on 127.0.0.1",
    );
  if (admin.readOnlyToken !== undefined && admin.token === undefined)
    fault(
      ["admin", "readOnlyToken"],
      "needs an admin.token beside it",
      "without one everybody who is answered may do everything",
    );
  if (admin.readOnlyToken !== undefined && admin.readOnlyToken === admin.token)
    fault(["admin", "readOnlyToken"], "is the same as admin.token", "it would not be known which of them was meant");
  if (limits.headersTimeout > limits.requestTimeout)
    fault(["limits", "headersTimeout"], "is above limits.requestTimeout", "the headers are a part of the request");
  if (retention.hardMaxBytes < retention.maxBytes)
    fault(["retention", "hardMaxBytes"], "is below retention.maxBytes", "the hard limit comes after the soft one");
}

/** Files that are missing offline are not looked into. */
function tlsFaults(
  tls: TlsFiles | undefined,
  at: Path,
  { files, fault }: { readonly files: OutsideFiles; readonly fault: Fault },
): void {
  if (tls === undefined) return;
  const [cert, key] = [files.pem(tls.cert), files.pem(tls.key)];
  const hint = "it must be a file in PEM that the relay may read";
  if ("fault" in cert) fault([...at, "cert"], `is ${tls.cert}, which ${cert.fault}`, hint);
  if ("fault" in key) fault([...at, "key"], `is ${tls.key}, which ${key.fault}`, hint);
  if ("fault" in cert || "fault" in key || files.isMissing(tls.cert) || files.isMissing(tls.key)) return;
  const found = certificateFrom(cert.pem, key.pem);
  if ("fault" in found) fault([...at, found.of], `is ${tls[found.of]}, which ${found.fault}`, hint);
}

/** What one source alone may have: keys, hosts and prefixes. */
class Owners {
  readonly #owners = new Map<string, string>();
  readonly #fault: Fault;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  claim(what: string, owner: string, path: Path, textsOf: (other: string) => readonly [string, string?]): void {
    const other = this.#owners.get(what);
    if (other !== undefined) this.#fault(path, ...textsOf(other));
    this.#owners.set(what, owner);
  }
}

function sourceFaults(
  parsed: ParsedSource,
  { environment, source }: { readonly environment: string; readonly source: string },
  owners: Owners,
): void {
  const at = ["environments", environment, "sources", source];
  const owner = `${environment}/${source}`;
  for (const { key, kind, path } of keysOf(parsed))
    owners.claim(`key ${kind} ${key}`, owner, [...at, ...path], (other) => [
      `is a key of ${other} too`,
      "a key belongs to one source only",
    ]);
  for (const [index, host] of (parsed.hosts ?? []).entries())
    owners.claim(`host ${host}`, owner, [...at, "hosts", index], (other) => [
      `is ${host}, which is a host of ${other} too`,
    ]);
  if (parsed.prefix !== undefined)
    owners.claim(`prefix ${parsed.prefix}`, owner, [...at, "prefix"], (other) => [
      `is ${parsed.prefix}, which is the prefix of ${other} too`,
      "give one of them another prefix",
    ]);
}

interface FoundKey {
  readonly key: string;
  readonly kind: string;
  readonly path: Path;
}

function keysOf(parsed: ParsedSource): readonly FoundKey[] {
  const members = new Map<string, unknown>(Object.entries(parsed));
  const further = Object.entries(vendorConfigOf(parsed.protocol).sourceKeys ?? {});
  return [["writeKeys", { kind: "" }] as const, ...further].flatMap(([option, { kind }]) => {
    const value = members.get(option) as InboundKey | readonly InboundKey[] | undefined;
    if (value === undefined) return [];
    if (!isList(value)) return [{ key: textOf(value), kind, path: [option] }];
    return value.map((one, index) => ({ key: textOf(one), kind, path: [option, index] }));
  });
}

function isList(value: InboundKey | readonly InboundKey[]): value is readonly InboundKey[] {
  return Array.isArray(value);
}

function textOf(key: InboundKey): string {
  return typeof key === "string" ? key : key.key;
}

/** A destination's `sources` are sources of its environment. */
function routingFaults(
  { sources, destinations }: ParsedEnvironment,
  at: Path,
  { fault, places }: { readonly fault: Fault; readonly places: Places },
): void {
  const known = Object.keys(sources);
  for (const [name, destination] of Object.entries(destinations))
    for (const [index, source] of (destination.sources ?? []).entries()) {
      if (known.includes(source)) continue;
      const path = [...at, "destinations", name, "sources", index];
      const near = nearest(source, known);
      fault(
        path,
        `is ${places.shown(path, source)}, which is not a source of this environment`,
        near === undefined ? `its sources: ${known.join(", ")}` : `did you mean "${near}"?`,
      );
    }
}
