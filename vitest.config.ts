import { configDefaults, defineConfig } from "vitest/config";

// Packages are tested from their sources; processes that tests start run the built files.
const conditions = ["@waybill/source", "node", "import", "default"];
const ROOMS = [
  "attack",
  "benchmarks",
  "deploy",
  "examples",
  "fuzz",
  "packages",
  "real-clients",
  "runtimes",
  "simulation",
];
/** Where a file belongs, and why, is in CONTRIBUTING.md, "Which tests run when". */
const HEAVY = "**/*.heavy.test.ts";
/** They change what a whole process has: its servers speak TLS, its requests are traced. */
const ALONE = ["packages/relay/test/**/*-tls.test.ts", "packages/relay/test/tracing/*.test.ts"];
const LANE_MODES = "packages/core/test/lib/lane-modes.setup.ts";

// Nothing is fetched, by the processes that tests start neither.
const LIGHT = {
  setupFiles: ["tools/light.setup.ts", LANE_MODES],
  env: { WAYBILL_NO_INSTALL: "1", npm_config_offline: "true" },
};

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 30_000,
    // Tests that start processes share two cores with the others.
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          ...LIGHT,
          name: "light",
          include: ROOMS.map((room) => `${room}/**/*.test.ts`),
          exclude: [...configDefaults.exclude, HEAVY, ...ALONE],
          // A third of the time would go into loading the same modules for every file again.
          isolate: false,
        },
      },
      { extends: true, test: { ...LIGHT, name: "light-alone", include: ALONE } },
      {
        extends: true,
        test: {
          name: "heavy",
          include: [...ROOMS, "tools"].map((room) => `${room}/${HEAVY}`),
          setupFiles: [LANE_MODES],
        },
      },
      {
        extends: true,
        test: { name: "repository", include: ["tools/**/*.test.ts"], exclude: [...configDefaults.exclude, HEAVY] },
      },
    ],
  },
});
