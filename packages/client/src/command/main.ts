#!/usr/bin/env node
/**
 * `npx waybill` where only the client is installed. The command `waybill` belongs to the relay's
 * package; this one has another name, so that both can be installed together, and npx runs it as
 * the only command of the package `waybill`.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const RELAY = "@waybill/relay";
const HELP = `The package "waybill" is the client, which applications import. The command comes with
${RELAY}, which is not installed here:

  npx ${RELAY} dev           try it: a relay with sample events
  npm install -g ${RELAY}    then: waybill relay --config waybill.yaml
`;

const command = commandOf(process.cwd()) ?? commandOf(dirname(fileURLToPath(import.meta.url)));
if (command === undefined) {
  process.stderr.write(HELP);
  process.exitCode = 1;
} else await import(pathToFileURL(command).href);

/** The file of the relay's command, as a program in `directory` would find its package. */
function commandOf(directory: string): string | undefined {
  try {
    const manifest = createRequire(join(directory, "package.json")).resolve(`${RELAY}/package.json`);
    const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly bin: { readonly waybill: string } };
    return join(dirname(manifest), bin.waybill);
  } catch {
    // Not installed, or not one of ours.
    return undefined;
  }
}
