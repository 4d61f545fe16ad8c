/**
 * A vendor's emulator as a process. Argument: the vendor.
 * Message out: { port }. Messages in: { fail } does so, { recover: true }, { refuse: true } closes
 * the port, { listen: true } opens it again, { report: true }; each is answered, the last with {
 * events, duplicates }: different events, and those that acted twice.
 */
import { type EmulatorFailure, emulators, startServer } from "@waybill/testing";

type Vendor = "segment" | "letter" | "getfluxly" | "trophy" | "valued" | "launchdarkly" | "posthog";

interface Message {
  readonly fail?: EmulatorFailure;
  readonly recover?: true;
  readonly refuse?: true;
  readonly listen?: true;
  readonly report?: true;
}

const { emulator, indexes } = create(process.argv[2] as Vendor);
let server = await startServer(emulator.handle);
const port = Number(new URL(server.url).port);
process.on("message", (message: Message) => {
  void handle(message).then((answer) => process.send?.(answer));
});
process.send?.({ port });

async function handle({ fail, recover, refuse, listen, report }: Message): Promise<object> {
  if (fail !== undefined) emulator.fail(fail);
  if (recover === true) emulator.recover();
  if (refuse === true) await server.close();
  if (listen === true) server = await startServer(emulator.handle, { port });
  if (report !== true) return {};
  const all = indexes();
  return { events: new Set(all).size, duplicates: all.length - new Set(all).size };
}

interface Created {
  readonly emulator: emulators.VendorEmulator;
  /** The `index` of each event that acted. */
  readonly indexes: () => readonly unknown[];
}

function create(vendor: Vendor): Created {
  const at = (value: unknown, ...path: readonly string[]): unknown =>
    path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
  switch (vendor) {
    case "segment": {
      const segment = new emulators.SegmentEmulator();
      return { emulator: segment, indexes: () => segment.events.map(({ event }) => at(event, "properties", "index")) };
    }
    case "letter": {
      const letter = new emulators.LetterEmulator();
      return { emulator: letter, indexes: () => letter.events.map((event) => at(event, "properties", "index")) };
    }
    case "getfluxly": {
      const getfluxly = new emulators.GetFluxlyEmulator();
      return { emulator: getfluxly, indexes: () => getfluxly.events.map((event) => at(event, "properties", "index")) };
    }
    case "trophy": {
      const trophy = new emulators.TrophyEmulator({ eventAttributes: ["index"] });
      return { emulator: trophy, indexes: () => trophy.events.map(({ attributes }) => attributes["index"]) };
    }
    case "valued": {
      const valued = new emulators.ValuedEmulator();
      return { emulator: valued, indexes: () => valued.events.map((event) => at(event, "attributes", "index")) };
    }
    case "launchdarkly": {
      const launchdarkly = new emulators.LaunchDarklyEmulator();
      return { emulator: launchdarkly, indexes: () => launchdarkly.events.map((event) => at(event, "data", "index")) };
    }
    case "posthog": {
      const posthog = new emulators.PosthogEmulator();
      return { emulator: posthog, indexes: () => posthog.events.map((event) => at(event, "properties", "index")) };
    }
  }
}
