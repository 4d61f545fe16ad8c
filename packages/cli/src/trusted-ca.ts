import { readFileSync } from "node:fs";
import { messageOf, WaybillError } from "@waybill/core";
import { certificatesOf } from "@waybill/node";
import type { Command } from "commander";
import type { Io } from "./io.ts";

export interface CaOptions {
  readonly ca?: string;
}

/** For commands that connect to a relay. */
export function withCaOption(command: Command): Command {
  return command.option("--ca <file>", "CA of the relay's certificate in PEM, trusted beside Node's; also WAYBILL_CA");
}

/** The certificates of `--ca`. **Errors**: `WAYBILL_INPUT`. */
export function trustedCa(options: CaOptions, io: Pick<Io, "env">): readonly string[] | undefined {
  const file = options.ca ?? io.env["WAYBILL_CA"];
  if (file === undefined || file === "") return undefined;
  const hint = "Give a file of certificates in PEM with --ca or in WAYBILL_CA.";
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new WaybillError("WAYBILL_INPUT", `Cannot read ${file}: ${messageOf(error)}`, { hint });
  }
  const found = certificatesOf(text);
  if ("fault" in found) throw new WaybillError("WAYBILL_INPUT", `${file} ${found.fault}`, { hint });
  return found.certificates;
}

const UNTRUSTED: readonly string[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
];

/** What to do when TLS was refused; `undefined` for any other error. */
export function tlsHint(error: unknown): string | undefined {
  const { code = "" } = (error ?? {}) as NodeJS.ErrnoException;
  if (UNTRUSTED.includes(code))
    return "Name the CA of its certificate with --ca, in WAYBILL_CA or in NODE_EXTRA_CA_CERTS.";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "Use a name that its certificate has.";
  if (code === "CERT_HAS_EXPIRED") return "Its certificate has to be renewed.";
  return code === "EPROTO" || code.startsWith("ERR_SSL_")
    ? "Perhaps it speaks plain HTTP: write http:// then."
    : undefined;
}
