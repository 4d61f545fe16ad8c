/** How to send a first event to a source: with curl, our client, and the vendor's own SDK. */

export interface Snippet {
  readonly title: string;
  readonly text: string;
}

export interface SnippetsOf {
  /** Whose API the source speaks. */
  readonly protocol: string;
  /** The name of the source: where its key is found in the configuration. */
  readonly source: string;
  /** Where the relay takes events, with `http://` or `https://`. */
  readonly intake: string;
}

export function snippetsOf({ protocol, source, intake }: SnippetsOf): readonly Snippet[] {
  const key = `KEY_OF_${source.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}`;
  const make = MAKERS.get(protocol);
  return make === undefined ? [] : make({ key, intake });
}

interface Filled {
  readonly key: string;
  readonly intake: string;
}

type Make = (filled: Filled) => readonly Snippet[];

const json = (value: object): string => JSON.stringify(value);
/** The first line of a program. */
const imported = (names: string, from: string): string => `import ${names} from ${JSON.stringify(from)};`;

const segment: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl -u "$${key}:" ${intake}/v1/track \\\n  -H 'content-type: application/json' \\\n  -d '${json({ userId: "me", event: "Hello" })}'`,
  },
  {
    title: "waybill",
    text: `${imported("{ createClient }", "waybill")}

const client = createClient({
  relay: { url: "${intake}", writeKey: process.env.${key} },
});
client.track({ userId: "me", event: "Hello" });
await client.close();`,
  },
  {
    title: "Segment for Node",
    text: `${imported("{ Analytics }", "@segment/analytics-node")}

const analytics = new Analytics({ host: "${intake}", writeKey: process.env.${key} });
analytics.track({ userId: "me", event: "Hello" });
await analytics.closeAndFlush();`,
  },
];

const posthog: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl ${intake}/capture \\\n  -H 'content-type: application/json' \\\n  -d '{"api_key":"'"$${key}"'","event":"Hello","distinct_id":"me"}'`,
  },
  {
    title: "PostHog for Node",
    text: `${imported("{ PostHog }", "posthog-node")}

const posthog = new PostHog(process.env.${key}, { host: "${intake}" });
posthog.capture({ distinctId: "me", event: "Hello" });
await posthog.shutdown();`,
  },
  {
    title: "PostHog for pages",
    text: `posthog.init("${key}", {
  api_host: "${intake}",
  disable_compression: true,
});
posthog.capture("Hello");`,
  },
];

const mixpanel: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl -u "$${key}:" ${intake}/import \\\n  -H 'content-type: application/json' \\\n  -d '[{"event":"Hello","properties":{"distinct_id":"me","time":'"$(date +%s)"',"$insert_id":"hello-1"}}]'`,
  },
  {
    title: "Mixpanel for Node",
    text: `${imported("Mixpanel", "mixpanel")}

const mixpanel = Mixpanel.init(process.env.${key}, {
  host: "${intake.replace(/^https?:\/\//, "")}",
  protocol: "${intake.startsWith("https") ? "https" : "http"}",
});
mixpanel.track("Hello", { distinct_id: "me" });`,
  },
  {
    title: "Mixpanel for pages",
    text: `mixpanel.init("${key}", { api_host: "${intake}" });
mixpanel.track("Hello");`,
  },
];

const amplitude: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl ${intake}/2/httpapi \\\n  -H 'content-type: application/json' \\\n  -d '{"api_key":"'"$${key}"'","events":[{"event_type":"Hello","user_id":"me-at-home"}]}'`,
  },
  {
    title: "Amplitude for Node",
    text: `${imported("{ flush, init, track }", "@amplitude/analytics-node")}

init(process.env.${key}, { serverUrl: "${intake}/2/httpapi" });
track("Hello", {}, { user_id: "me-at-home" });
await flush().promise;`,
  },
];

const launchdarkly: Make = ({ key, intake }) => [
  {
    title: "LaunchDarkly for Node",
    text: `${imported("{ init }", "@launchdarkly/node-server-sdk")}

const client = init(process.env.${key}, { eventsUri: "${intake}" });
await client.waitForInitialization({ timeout: 10 });
client.track("Hello", { kind: "user", key: "me" });
await client.flush();`,
  },
];

const letter: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl ${intake}/v1/track \\\n  -H "authorization: Bearer $${key}" \\\n  -H 'content-type: application/json' \\\n  -d '${json({ userId: "me", event: "Hello" })}'`,
  },
  {
    title: "waybill/letter",
    text: `${imported("{ LetterClient }", "waybill/letter")}

const letter = new LetterClient({ apiKey: process.env.${key}, baseUrl: "${intake}" });
letter.track({ userId: "me", event: "Hello" });
await letter.close();`,
  },
];

const getfluxly: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl ${intake}/v1/events \\\n  -H "authorization: Bearer $${key}" \\\n  -H 'content-type: application/json' \\\n  -d '${json({ event: "hello", anonymous_id: "me" })}'`,
  },
  {
    title: "waybill/getfluxly",
    text: `${imported("{ GetFluxlyClient }", "waybill/getfluxly")}

const fluxly = new GetFluxlyClient({ token: process.env.${key}, apiHost: "${intake}" });
fluxly.track({ event: "hello", anonymousId: "me" });
await fluxly.close();`,
  },
];

const trophy: Make = ({ key, intake }) => [
  {
    title: "curl",
    text: `curl ${intake}/v1/metrics/hello/event \\\n  -H "x-api-key: $${key}" \\\n  -H 'content-type: application/json' \\\n  -d '${json({ user: { id: "me" }, value: 1 })}'`,
  },
  {
    title: "Trophy for Node",
    text: `${imported("{ TrophyApiClient }", "@trophyso/node")}

const trophy = new TrophyApiClient({
  apiKey: process.env.${key},
  environment: { api: "${intake}/v1", admin: "${intake}" },
});
await trophy.metrics.event("hello", { user: { id: "me" }, value: 1 });`,
  },
];

const valued: Make = ({ key, intake }) => [
  {
    title: "waybill/valued",
    text: `${imported("{ Valued }", "waybill/valued")}

Valued.connect(process.env.${key}, "${intake}/events");
Valued.action("hello", { "user.id": "me" });
await Valued.client.close();`,
  },
];

const MAKERS: ReadonlyMap<string, Make> = new Map([
  ["segment", segment],
  ["posthog", posthog],
  ["mixpanel", mixpanel],
  ["amplitude", amplitude],
  ["launchdarkly", launchdarkly],
  ["letter", letter],
  ["getfluxly", getfluxly],
  ["trophy", trophy],
  ["valued", valued],
]);

/** Those that a source can speak. */
export const PROTOCOLS: readonly string[] = [...MAKERS.keys()];
