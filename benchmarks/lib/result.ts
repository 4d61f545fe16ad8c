import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

/**
 * Prints a result as the last line of the output and, if `keep` is set, stores it with the machine
 * it was measured on.
 */
export function publish(name: string, result: object, keep: boolean): void {
  if (keep) record(name, result);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function record(name: string, result: object): void {
  const file = new URL(`../../results/${name}.json`, import.meta.url);
  mkdirSync(new URL(".", file), { recursive: true });
  writeFileSync(
    file,
    `${JSON.stringify({ measuredAt: new Date().toISOString(), machine: machine(), result }, undefined, 2)}\n`,
  );
}

function machine(): object {
  const lock = JSON.parse(readFileSync(new URL("../../../package-lock.json", import.meta.url), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly version?: string }>>;
  };
  const version = (name: string): string | undefined => lock.packages[`node_modules/${name}`]?.version;
  return {
    cpu: cpus()[0]?.model.trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
    versions: {
      "@segment/analytics-node": version("@segment/analytics-node"),
      "posthog-node": version("posthog-node"),
    },
  };
}

/** A line for people, before the line for programs. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
