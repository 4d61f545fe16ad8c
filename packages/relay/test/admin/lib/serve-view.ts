/** The admin API before a view of a test's own making, until the test ends. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { VirtualClock } from "@waybill/testing";
import { onTestFinished } from "vitest";
import { createAdminServer } from "../../../src/admin/server.ts";
import type { AdminView } from "../../../src/admin/view.ts";
import { Drain } from "../../../src/intake/drain.ts";

/** Resolves to its address. What `view` lacks of the server's own needs: nobody has to sign in. */
export async function serveView(view: object, pageDirectory?: string): Promise<string> {
  const whole = {
    guard: () => ({ hosts: [], token: undefined, readOnlyToken: undefined }),
    clock: new VirtualClock(0),
    drain: new Drain(),
    stopping: new AbortController().signal,
    onError: () => undefined,
    ...view,
  } as unknown as AdminView;
  const timeouts = { headersTimeoutMs: 1_000, requestTimeoutMs: 1_000 };
  const server = createAdminServer(whole, { ...timeouts, ...(pageDirectory === undefined ? {} : { pageDirectory }) });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
