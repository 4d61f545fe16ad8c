/** `npm run bench -- client|relay|log|trace|replay|faults|isolation [--quick]`: the last line is one JSON object; exit 1 when a promise is broken. */
import * as client from "./client.ts";
import * as faults from "./faults.ts";
import * as isolation from "./isolation.ts";
import * as log from "./log.ts";
import * as relay from "./relay.ts";
import * as replay from "./replay.ts";
import * as trace from "./trace.ts";

const [scenario, flag] = process.argv.slice(2);
const quick = flag === "--quick";

if (scenario === "client")
  process.exitCode = client.failed(await client.run(quick ? client.QUICK : client.FULL)) ? 1 : 0;
else if (scenario === "relay")
  process.exitCode = relay.failed(await relay.run(quick ? relay.QUICK : relay.FULL)) ? 1 : 0;
else if (scenario === "trace")
  process.exitCode = trace.failed(await trace.run(quick ? trace.QUICK : trace.FULL)) ? 1 : 0;
else if (scenario === "replay")
  process.exitCode = replay.failed(await replay.run(quick ? replay.QUICK : replay.FULL)) ? 1 : 0;
else if (scenario === "faults")
  process.exitCode = faults.failed(await faults.run(quick ? faults.QUICK : faults.FULL)) ? 1 : 0;
else if (scenario === "isolation")
  process.exitCode = isolation.failed(await isolation.run(quick ? isolation.QUICK : isolation.FULL)) ? 1 : 0;
else if (scenario === "log") process.exitCode = log.failed(await log.run(quick ? log.QUICK : log.FULL)) ? 1 : 0;
else {
  process.stderr.write("usage: npm run bench -- client|relay|log|trace|replay|faults|isolation [--quick]\n");
  process.exitCode = 2;
}
