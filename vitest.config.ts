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
/** Their tests leave nothing behind in a process, so that files share what they import. */
const PURE = ["core", "log", "log-kafka", "page", "vendors"].map((name) => `packages/${name}/test/**/*.test.ts`);
const LANE_MODES = "packages/core/test/lib/lane-modes.setup.ts";

const LIGHT = {
  setupFiles: ["tools/light.setup.ts", LANE_MODES],
  // Most wait at times: for a socket, a process.
  maxWorkers: 3,
  // Nothing is fetched, by the processes that tests start neither.
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
          exclude: [...configDefaults.exclude, HEAVY, ...PURE],
        },
      },
      {
        extends: true,
        test: {
          ...LIGHT,
          name: "light-pure",
          include: PURE,
          exclude: [...configDefaults.exclude, HEAVY],
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: "heavy",
          // A run may have tests of several projects; those with other workers come after it.
          sequence: { groupOrder: 1 },
          include: [...ROOMS, "tools"].map((room) => `${room}/${HEAVY}`),
          setupFiles: [LANE_MODES],
        },
      },
      {
        extends: true,
        test: {
          name: "repository",
          sequence: { groupOrder: 2 },
          include: ["tools/**/*.test.ts"],
          exclude: [...configDefaults.exclude, HEAVY],
        },
      },
    ],
  },
});
