/** Where a scenario runs: emulators, a relay before them, pages; and the count of its events. */
import type { emulators } from "@waybill/testing";
import { type Counted, count } from "./count.ts";
import { openPage, type Page } from "./page.ts";
import { type Relay, startRelay, until } from "./relay.ts";

/** What a scenario gives its SDK, when nothing else is asked of it. */
export const EVENT_NAMES: readonly string[] = Array.from({ length: 20 }, (_, index) => `event-${index}`);
/** Before this one the relay is killed. */
export const HALF: number = EVENT_NAMES.length / 2;

/**
 * Other projects' sources on the same relay, so that a key must find its own among several, also
 * at paths that vendors share.
 */
const NEIGHBOURS = {
  neighbours: {
    sources: {
      segments: { protocol: "segment", writeKeys: ["neighbour"] },
      posthogs: { protocol: "posthog", writeKeys: ["phc_neighbour"] },
      trophies: { protocol: "trophy", writeKeys: ["neighbour.secret"] },
      flags: { protocol: "launchdarkly", writeKeys: ["sdk-neighbour"], environmentId: "env-neighbour" },
    },
    // Gets nothing: an environment has to have one.
    destinations: { unused: { vendor: "segment", url: "http://127.0.0.1:9", writeKey: "unused" } },
  },
};

/** So long a vendor gets no request before its events are counted: a late copy still counts. */
const QUIET_MS = 200;
const QUIET_LOOKS_MAX = 25;

export interface Stage {
  /** Starts an emulator's server, until the end; its URL. */
  serve(emulator: emulators.VendorEmulator): Promise<string>;
  /** Starts the relay with these environments, until the end. */
  startRelay(environments: object): Promise<Relay>;
  /** A page of another origin than the relay's. */
  openPage(): Page;
  /**
   * Notes an event, just before the SDK gets it, under a name by which {@link Stage.keeps} will
   * find it at the vendor: no two events have the same. Returns the name.
   */
  give(name: string): string;
  /**
   * How to read the names of what the vendor keeps: every copy that its own deduplication let
   * pass. Called before the first event is given.
   */
  keeps(read: () => readonly string[]): void;
  /** When the vendor has every event that was given; rejects when that takes too long. */
  arrived(): Promise<void>;
}

export interface OpenStage extends Stage {
  /** The count, once the vendors get nothing more. */
  settle(): Promise<{ readonly counted: Counted; readonly relayKills: number }>;
  /** Ends everything that was started, the last first. */
  close(): Promise<void>;
}

type Ending = () => void | Promise<void>;

export function openStage(): OpenStage {
  const endings: Ending[] = [];
  const onEnd = (ending: Ending): void => void endings.push(ending);
  const vendors: emulators.VendorEmulator[] = [];
  const given = new Set<string>();
  let read: () => readonly string[] = () => [];
  let relayKills = 0;
  const counted = (): Counted => count([...given], read());
  return {
    async serve(emulator) {
      const server = await emulator.listen();
      onEnd(() => server.close());
      vendors.push(emulator);
      return server.url;
    },
    async startRelay(environments) {
      const relay = await startRelay({ ...NEIGHBOURS, ...environments }, onEnd);
      const restart = async (): Promise<void> => {
        await relay.restart();
        relayKills += 1;
      };
      return { url: relay.url, restart };
    },
    openPage: () => openPage(onEnd),
    give(name) {
      if (given.has(name)) throw new Error(`${name} was given before; events need names of their own`);
      given.add(name);
      return name;
    },
    keeps(reader) {
      read = reader;
    },
    arrived: () => until(() => counted().lost === 0),
    async settle() {
      await quiet(vendors);
      return { counted: counted(), relayKills };
    },
    async close() {
      for (const ending of endings.toReversed()) await ending();
    },
  };
}

async function quiet(vendors: readonly emulators.VendorEmulator[]): Promise<void> {
  const requests = (): number => vendors.reduce((sum, vendor) => sum + vendor.requests, 0);
  let before = -1;
  for (let look = 0; look < QUIET_LOOKS_MAX && requests() !== before; look++) {
    before = requests();
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  }
}
