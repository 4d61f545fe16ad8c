/** In every light test: nothing leaves this machine. */
import { afterAll, afterEach, expect } from "vitest";
import { refuseOtherMachines } from "./loopback.ts";

const refusals = refuseOtherMachines();

afterEach(() => expect(refusals.take(), "hosts that a light test connects to").toEqual([]));

// Files of tests may share a process.
afterAll(() => refusals.end());
