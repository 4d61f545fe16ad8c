/** The model of strands.model.test.ts, for many more seeds. */
import { test } from "vitest";
import { runStrands } from "../lib/strands-model.ts";

const SEEDS = 150;
const SEEDS_OF_FAILURES = 60;
const TIMEOUT = { timeout: 240_000 };

test("for many seeds each event has one outcome, and those of a user go in order", TIMEOUT, () =>
  runStrands(SEEDS, { mayFatesFail: false }),
);

test("so it is for many seeds where outcomes cannot be written down at times", TIMEOUT, () =>
  runStrands(SEEDS_OF_FAILURES, { mayFatesFail: true }),
);
