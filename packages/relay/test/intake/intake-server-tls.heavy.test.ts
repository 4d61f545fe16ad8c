/** The tests of intake-server.test.ts once more, over TLS. */
import { overTls } from "../lib/tls.ts";

overTls.isOn = true;
await import("./intake-server.test.ts");
