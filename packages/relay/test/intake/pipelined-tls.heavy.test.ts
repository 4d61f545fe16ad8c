/** The tests of pipelined.test.ts once more, over TLS. */
import { overTls } from "../lib/tls.ts";

overTls.isOn = true;
await import("./pipelined.test.ts");
