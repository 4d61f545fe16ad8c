/** What GetFluxly's client does when the process ends, and where it runs. */
import { expect, onTestFinished, test, vi } from "vitest";
import { GetFluxlyClientOn } from "../../src/getfluxly/client.ts";
import type { GetFluxlyError } from "../../src/getfluxly/error.ts";
import { createVendorHost } from "../../src/host/web-host.ts";
import { setUp } from "../lib/getfluxly-world.ts";
import { URL_OF_VENDOR } from "../lib/vendor-world.ts";

test("with registerAtExit false the end of the process is none of the client's", () => {
  expect(setUp().exits.size).toBe(1);
  expect(setUp({ registerAtExit: false }).exits.size).toBe(0);
});

test("what goes wrong at exit is reported to onError alone; what is left is reported with its count", async () => {
  const { emulator, ended, exits, events, errors } = setUp({ exitSignals: ["SIGINT"] });
  const [hook] = exits;
  expect(hook).toMatchObject({ deadlineMs: 20_000, signals: ["SIGINT"] });
  emulator.fail({ kind: "status", status: 503 });
  events(3);
  await ended(hook?.close() as Promise<unknown>);
  expect(errors).toMatchObject([{ code: "server_error", retryable: true }]);
  expect(exits.size).toBe(1);
  hook?.lost("the process ended with exit code 0");
  expect(errors[1]).toMatchObject({
    code: "exit",
    details: { events: 3 },
    message: "3 events were not sent or not answered: the process ended with exit code 0",
  });
  expect(() => setUp({ exitSignals: ["SIGUSR1" as never] })).toThrow('option "exitSignals" has SIGUSR1');
});

test("a signal while close goes on waits for it; a vendor that is down is not asked again at the end", async () => {
  const { fluxly, emulator, clock, exits, events, errors } = setUp();
  const [hook] = exits;
  emulator.fail({ kind: "status", status: 503 });
  events(1);
  let isOver = false;
  const closed = fluxly.close().catch(({ code }: GetFluxlyError) => code);
  void hook?.close().then(() => {
    isOver = true;
  });
  await clock.advance(10);
  expect(isOver).toBe(false);
  await clock.advance(5_000);
  expect(isOver).toBe(true);
  expect(await closed).toBe("server_error");
  const { requests } = emulator;
  await hook?.close();
  await clock.advance(5_000);
  expect(emulator.requests).toBe(requests);
  expect(errors).toEqual([]);
});

test("without onError only what the end of the process lost is a line on the console", async () => {
  const lines = vi.spyOn(console, "error").mockImplementation(() => undefined);
  onTestFinished(() => lines.mockRestore());
  const { host, emulator, clock, exits } = setUp();
  exits.clear();
  const fluxly = new GetFluxlyClientOn(host, { token: "gflux_secret_1", apiHost: URL_OF_VENDOR });
  emulator.fail({ kind: "status", status: 503 });
  fluxly.track({ event: "a", userId: "u" });
  await clock.advance(20_000);
  expect(emulator.requests).toBeGreaterThan(3);
  expect(lines).not.toHaveBeenCalled();
  for (const hook of exits) hook.lost("the process ended with exit code 1");
  expect(lines.mock.calls).toEqual([
    ["[getfluxly]", "1 event was not sent or not answered: the process ended with exit code 1"],
  ]);
});

test("a close that loses its last batch leaves nothing for the end of the process", async () => {
  const { fluxly, emulator, ended, exits, events } = setUp();
  emulator.fail({ kind: "status", status: 400 });
  events(1);
  await expect(ended(fluxly.close())).rejects.toMatchObject({ status: 400 });
  expect(exits.size).toBe(0);
});

test("close ends also when the transport ignores that it is aborted; the events stay", async () => {
  const { fluxly, clock, ended, events, exits } = setUp({ transport: () => new Promise<never>(() => undefined) });
  events(2);
  const startedAt = clock.monotonic();
  await expect(ended(fluxly.close())).rejects.toMatchObject({ code: "transport_error", retryable: true });
  expect(clock.monotonic() - startedAt).toBeLessThan(20_000);
  expect(exits.size).toBe(1);
});

test("a server key is refused in a browser alone: where a window with a document is", () => {
  const create = (token: string, isBrowser: boolean): GetFluxlyClientOn =>
    new GetFluxlyClientOn({ ...setUp().host, isBrowser }, { token });
  expect(() => create("gflux_secret_1", true)).toThrow(expect.objectContaining({ code: "server_key_in_browser" }));
  create("gflux_pub_1", true);
  create("gflux_secret_1", false);
});

test.each([
  [["window", "document"], true],
  [["window"], false],
  [["document"], false],
  [["WorkerGlobalScope", "caches"], false],
  [["ServiceWorkerGlobalScope", "clients"], false],
])("outside Node only a window with a document is a browser (%s)", (names, isBrowser) => {
  for (const name of names) vi.stubGlobal(name, {});
  onTestFinished(() => void vi.unstubAllGlobals());
  expect(createVendorHost().isBrowser).toBe(isBrowser);
});
