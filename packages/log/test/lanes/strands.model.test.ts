import { test } from "vitest";
import { runStrands } from "../lib/strands-model.ts";

/** Enough for several strands and parked users; the heavy tests have more. */
const SEEDS = 25;
const SEEDS_OF_FAILURES = 15;

test("each event has one outcome, those of a user go in order, and ledger and fates agree", () =>
  runStrands(SEEDS, { mayFatesFail: false }));

test("so it is where outcomes cannot be written down at times: what nobody knows is unknown", () =>
  runStrands(SEEDS_OF_FAILURES, { mayFatesFail: true }));
