#!/usr/bin/env node
import { nodeClock } from "@waybill/node";
import { run } from "./index.ts";
import { createProcessIo, EXIT, report } from "./io.ts";

// The runtime's timers keep no process alive; a command that waits for a retry must stay.
const hold = nodeClock.after(Number.MAX_SAFE_INTEGER, () => undefined, true);
const io = createProcessIo();
const code = await run(process.argv, io);
hold.cancel();
const failure = io.failure();
if (failure !== undefined) report(failure, io);
// Not process.exit(): what was written to a pipe must get there.
process.exitCode = failure === undefined ? code : EXIT.failed;
