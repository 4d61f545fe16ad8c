/** A relay in this process, with an emulator of Segment as its destination. */
import { nodeClock } from "@waybill/node";
import { createLogger, loadConfig, type RunningRelay, startRelay } from "@waybill/relay";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { onTestFinished } from "vitest";
import { temporary } from "./command.ts";

export const TOKEN = "the-full-admin-token";
export const READ_ONLY = "the-read-only-token";

export interface TestRelay {
  readonly relay: RunningRelay;
  readonly emulator: SegmentEmulator;
  readonly admin: string;
  /** Its configuration, with more sources. */
  config(more: { readonly sources: object }): string;
  send(...names: readonly string[]): Promise<void>;
  /** Ends it, and starts another on the same port and log. */
  stop(): Promise<void>;
  restart(): Promise<void>;
}

interface TestRelayOptions {
  /** What a reload reads. */
  readonly reload?: () => string;
}

export async function startTestRelay({ reload }: TestRelayOptions = {}): Promise<TestRelay> {
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  const dataDirectory = temporary();
  const configOf = (adminListen: string, moreSources: object = {}): object => ({
    listen: "127.0.0.1:0",
    dataDirectory,
    admin: { listen: adminListen, token: TOKEN, readOnlyToken: READ_ONLY },
    network: { allowPrivateAddresses: true },
    environments: {
      production: {
        sources: { web: { protocol: "segment", writeKeys: ["k-web"] }, ...moreSources },
        destinations: {
          segment: { vendor: "segment", url: server.url, writeKey: "v", backoff: { base: "10ms", max: "20ms" } },
        },
      },
    },
  });
  const start = (adminListen: string): Promise<RunningRelay> =>
    startRelay(loadConfig({ file: "test", text: JSON.stringify(configOf(adminListen)), env: {} }), {
      logger: createLogger("silent"),
      ...(reload === undefined
        ? {}
        : {
            configFile: "test",
            reloadConfig: () => Promise.resolve(loadConfig({ file: "test", text: reload(), env: {} })),
          }),
    });
  const firstListen = "127.0.0.1:0";
  let relay = await start(firstListen);
  const admin = relay.adminUrl;
  onTestFinished(async () => {
    // A request that hangs would hold the relay up.
    await Promise.all([server.close(), relay.stop()]);
  });
  return {
    get relay() {
      return relay;
    },
    emulator,
    admin,
    config: ({ sources }) => JSON.stringify(configOf(firstListen, sources)),
    async send(...names) {
      const batch = names.map((event) => ({ type: "track", userId: "u", event }));
      const response = await fetch(`${relay.intakeUrl}/v1/batch`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa("k-web:")}`, "content-type": "application/json" },
        body: JSON.stringify({ batch }),
      });
      if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
    },
    stop: () => relay.stop(),
    async restart() {
      await relay.stop();
      relay = await start(new URL(admin).host);
    },
  };
}
