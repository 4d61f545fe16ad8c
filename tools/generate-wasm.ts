/** `npm run wasm` compiles the relay's WebAssembly; wasm.test.ts holds the result to its source. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SOURCE = `${ROOT}packages/relay/wasm/batch-scan.as`;
export const OUTPUT: string = `${ROOT}packages/relay/src/intake/segment/batch-scan.wasm.ts`;
/** 64 KiB each: a body of 1 MiB and its events. */
const PAGES = "33";

/** The text of the generated file. */
export async function compile(): Promise<string> {
  const files = new Map<string, Uint8Array | string>();
  const { error, stderr } = await asc.main(
    [
      "batch-scan.ts",
      "--outFile",
      "batch-scan.wasm",
      "--runtime",
      "stub",
      "-O3",
      "--enable",
      "simd",
      "--noAssert",
      "--initialMemory",
      PAGES,
    ],
    {
      // Our file is not TypeScript, whatever the compiler wants it to be called.
      readFile: (name) => (name === "batch-scan.ts" ? readFileSync(SOURCE, "utf8") : null),
      writeFile: (name, contents) => void files.set(name, contents),
    },
  );
  const wasm = files.get("batch-scan.wasm");
  if (error !== null || wasm === undefined) throw new Error(`it does not compile: ${stderr.toString()}`);
  const base64 = Buffer.from(wasm as Uint8Array).toString("base64");
  return `/** Made by npm run wasm of wasm/batch-scan.as: do not edit. */\nexport const BATCH_SCAN_WASM =\n  "${base64}";\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(OUTPUT, await compile());
