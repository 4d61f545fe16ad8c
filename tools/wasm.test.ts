import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compile, OUTPUT } from "./generate-wasm.ts";

test("the WebAssembly is what its source compiles to; otherwise run npm run wasm", async () => {
  expect(readFileSync(OUTPUT, "utf8")).toBe(await compile());
});
