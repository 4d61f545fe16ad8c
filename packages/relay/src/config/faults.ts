import { printable, WaybillError } from "@waybill/core";

export interface ConfigFault {
  readonly file: string;
  /** From 1; 0 where the fault has no place in the file. */
  readonly line: number;
  readonly column: number;
  /** `environments.production.destinations.x.writeKey`; "" for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

/** All that is wrong with a configuration, in the order of the file. */
export class ConfigError extends WaybillError {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const sorted = [...faults].sort((a, b) => a.line - b.line || a.column - b.column);
    super("WAYBILL_CONFIG", sorted.map(lineOf).join("\n"));
    this.faults = sorted;
  }
}

/**
 * Those of an error; `undefined` for another kind. Errors of a copy of this package are of other
 * classes.
 */
export function faultsIn(error: unknown): readonly ConfigFault[] | undefined {
  return ((error ?? {}) as { readonly faults?: readonly ConfigFault[] }).faults;
}

/** For a person: where, what, and what to do. */
export function lineOf({ file, line, column, path, message, hint }: ConfigFault): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return printable(`${place}${path === "" ? "" : ` ${path}`}: ${message}${hint === undefined ? "" : `; ${hint}`}`);
}
