/**
 * A vendor's twin as a process. Argument: the vendor.
 * Message out: { port }. Messages in: { fail } does so, { recover: true }, { refuse: true } closes the port, { listen: true } opens it again,
 * { report: true }; each is answered, the last with { events, duplicates }: different events, and those that acted twice.
 */
import { startServer, type TwinFailure, twins } from "@waybill/testing";

type Vendor = "segment" | "letter" | "getfluxly" | "trophy" | "valued" | "launchdarkly" | "posthog";

interface Message {
  readonly fail?: TwinFailure;
  readonly recover?: true;
  readonly refuse?: true;
  readonly listen?: true;
  readonly report?: true;
}

const { twin, indexes } = create(process.argv[2] as Vendor);
let server = await startServer(twin.handle);
const port = Number(new URL(server.url).port);
process.on("message", (message: Message) => {
  void handle(message).then((answer) => process.send?.(answer));
});
process.send?.({ port });

async function handle({ fail, recover, refuse, listen, report }: Message): Promise<object> {
  if (fail !== undefined) twin.fail(fail);
  if (recover === true) twin.recover();
  if (refuse === true) await server.close();
  if (listen === true) server = await startServer(twin.handle, { port });
  if (report !== true) return {};
  const all = indexes();
  return { events: new Set(all).size, duplicates: all.length - new Set(all).size };
}

interface Created {
  readonly twin: twins.VendorTwin;
  /** The `index` of each event that acted. */
  readonly indexes: () => readonly unknown[];
}

function create(vendor: Vendor): Created {
  const at = (value: unknown, ...path: readonly string[]): unknown =>
    path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
  switch (vendor) {
    case "segment": {
      const segment = new twins.SegmentTwin();
      return { twin: segment, indexes: () => segment.events.map(({ event }) => at(event, "properties", "index")) };
    }
    case "letter": {
      const letter = new twins.LetterTwin();
      return { twin: letter, indexes: () => letter.events.map((event) => at(event, "properties", "index")) };
    }
    case "getfluxly": {
      const getfluxly = new twins.GetFluxlyTwin();
      return { twin: getfluxly, indexes: () => getfluxly.events.map((event) => at(event, "properties", "index")) };
    }
    case "trophy": {
      const trophy = new twins.TrophyTwin({ eventAttributes: ["index"] });
      return { twin: trophy, indexes: () => trophy.events.map(({ attributes }) => attributes["index"]) };
    }
    case "valued": {
      const valued = new twins.ValuedTwin();
      return { twin: valued, indexes: () => valued.events.map((event) => at(event, "attributes", "index")) };
    }
    case "launchdarkly": {
      const launchdarkly = new twins.LaunchDarklyTwin();
      return { twin: launchdarkly, indexes: () => launchdarkly.events.map((event) => at(event, "data", "index")) };
    }
    case "posthog": {
      const posthog = new twins.PosthogTwin();
      return { twin: posthog, indexes: () => posthog.events.map((event) => at(event, "properties", "index")) };
    }
  }
}
