import { test } from "vitest";
import { runLaneAndStore } from "../lib/lane-and-store-model.ts";

/** The heavy tests have more. */
const RUNS = 250;

test("lane and store do what the model says", () => runLaneAndStore(RUNS));
