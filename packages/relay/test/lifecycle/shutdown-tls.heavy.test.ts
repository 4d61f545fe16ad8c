/** The tests of shutdown.heavy.test.ts once more, over TLS. */
import { overTls } from "../lib/tls.ts";

overTls.isOn = true;
await import("./shutdown.heavy.test.ts");
