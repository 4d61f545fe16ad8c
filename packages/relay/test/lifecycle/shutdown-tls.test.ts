/** The tests of shutdown.test.ts once more, over TLS. */
import { overTls } from "../lib/tls.ts";

overTls.isOn = true;
await import("./shutdown.test.ts");
