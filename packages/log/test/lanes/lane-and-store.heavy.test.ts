/** The model of lane-and-store.model.test.ts, for many more commands. */
import { test } from "vitest";
import { runLaneAndStore } from "../lib/lane-and-store-model.ts";

const RUNS = 1_000;

test("whatever many commands do, lane and store do what the model says", { timeout: 240_000 }, () =>
  runLaneAndStore(RUNS),
);
