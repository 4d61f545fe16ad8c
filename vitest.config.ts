import { defineConfig } from "vitest/config";

// Packages are tested from their sources; processes that tests start run the built files.
const conditions = ["@waybill/source", "node", "import", "default"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      "packages/*/test/**/*.test.ts",
      "tools/**/*.test.ts",
      "deploy/test/*.test.ts",
      "simulation/**/*.test.ts",
      "benchmarks/*.test.ts",
      "examples/*.test.ts",
      "runtimes/*.test.ts",
      "fuzz/*.test.ts",
      "attack/*.test.ts",
      "real-clients/*.test.ts",
    ],
    setupFiles: ["packages/core/test/lib/lane-modes.setup.ts"],
    testTimeout: 30_000,
    // Tests that start processes share two cores with the others.
    maxWorkers: 2,
  },
});
