import { type emulators, SeededRandom, SimNetwork, VirtualClock } from "@waybill/testing";
import type { VendorHost } from "../../src/options.ts";
import type { ExitHook } from "../../src/vendor-kit/exit-hook.ts";

export interface VendorWorld<Emulator> {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  readonly emulator: Emulator;
  readonly host: VendorHost;
  readonly environment: Record<string, string>;
  /** What would be called at the end of the process. */
  readonly exits: Set<ExitHook>;
  /** Lets time pass until `promise` has ended. */
  ended<T>(promise: Promise<T>): Promise<T>;
}

export const URL_OF_VENDOR = "http://vendor.test";

/** A vendor's client beside its vendor, on a virtual clock and network. */
export function vendorWorld<Emulator extends emulators.VendorEmulator>(
  createEmulator: (clock: VirtualClock) => Emulator,
): VendorWorld<Emulator> {
  const clock = new VirtualClock();
  const random = new SeededRandom(11);
  const network = new SimNetwork({ clock, random });
  const emulator = createEmulator(clock);
  network.serve(URL_OF_VENDOR, emulator.handle);
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
    emulator,
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

/** The bodies of the requests an emulator got, parsed. */
export function bodiesOf(emulator: emulators.VendorEmulator): Record<string, unknown>[] {
  return emulator.posts.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
}

/** Milliseconds between the requests. */
export function gapsOf(emulator: emulators.VendorEmulator): number[] {
  return emulator.posts.slice(1).map(({ atMs }, index) => atMs - (emulator.posts[index]?.atMs ?? 0));
}

/** The list under `name` in the first request's body. */
export function firstListOf(emulator: emulators.VendorEmulator, name: string): Record<string, unknown>[] {
  const body = bodiesOf(emulator)[0] ?? {};
  return (body[name] ?? []) as Record<string, unknown>[];
}
