/** `npm run bench -- client|relay|log [--quick]`: the last line is one JSON object; exit 1 when a promise is broken. */
import * as client from "./client.ts";
import * as log from "./log.ts";
import * as relay from "./relay.ts";

const [scenario, flag] = process.argv.slice(2);
const quick = flag === "--quick";

if (scenario === "client")
  process.exitCode = client.failed(await client.run(quick ? client.QUICK : client.FULL)) ? 1 : 0;
else if (scenario === "relay")
  process.exitCode = relay.failed(await relay.run(quick ? relay.QUICK : relay.FULL)) ? 1 : 0;
else if (scenario === "log") process.exitCode = log.failed(await log.run(quick ? log.QUICK : log.FULL)) ? 1 : 0;
else {
  process.stderr.write("usage: npm run bench -- client|relay|log [--quick]\n");
  process.exitCode = 2;
}
