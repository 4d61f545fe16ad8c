import { SeededRandom, SimNetwork, type twins, VirtualClock } from "@waybill/testing";
import type { VendorHost } from "../../src/options.ts";
import type { ExitHook } from "../../src/vendor/exit-hook.ts";

export interface VendorWorld<Twin> {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly twin: Twin;
  readonly host: VendorHost;
  readonly environment: Record<string, string>;
  /** What would be called at the end of the process. */
  readonly exits: Set<ExitHook>;
  /** Lets time pass until `promise` has ended. */
  ended<T>(promise: Promise<T>): Promise<T>;
}

export const URL_OF_VENDOR = "http://vendor.test";

/** A vendor's client beside its vendor, on a virtual clock and network. */
export function vendorWorld<Twin extends twins.VendorTwin>(
  createTwin: (clock: VirtualClock) => Twin,
): VendorWorld<Twin> {
  const clock = new VirtualClock();
  const random = new SeededRandom(11);
  const network = new SimNetwork({ clock, random });
  const twin = createTwin(clock);
  network.serve(URL_OF_VENDOR, twin.handle);
  const environment: Record<string, string> = {};
  const exits = new Set<ExitHook>();
  const host: VendorHost = {
    runtime: { clock, random, transport: network.transport },
    byteLength: (text) => Buffer.byteLength(text),
    platform: "Node/20.20.2",
    environment: (name) => environment[name],
    isBrowser: false,
    onExit(hook) {
      exits.add(hook);
      return () => exits.delete(hook);
    },
  };
  return {
    clock,
    network,
    twin,
    host,
    environment,
    exits,
    async ended(promise) {
      let over = false;
      const finish = (): void => {
        over = true;
      };
      promise.then(finish, finish);
      await clock.until(() => over);
      return promise;
    },
  };
}

/** The bodies of the requests a twin got, parsed. */
export function bodiesOf(twin: twins.VendorTwin): Record<string, unknown>[] {
  return twin.posts.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
}

/** Milliseconds between the requests. */
export function gapsOf(twin: twins.VendorTwin): number[] {
  return twin.posts.slice(1).map(({ atMs }, index) => atMs - (twin.posts[index]?.atMs ?? 0));
}

/** The list under `name` in the first request's body. */
export function firstListOf(twin: twins.VendorTwin, name: string): Record<string, unknown>[] {
  const body = bodiesOf(twin)[0] ?? {};
  return (body[name] ?? []) as Record<string, unknown>[];
}
