/** Who takes part in the fault table, and what each one's contract permits. */

export type FaultClient =
  | "createClient"
  | "createClient, letter"
  | "createClient, getfluxly"
  | "createClient, trophy"
  | "createClient, valued"
  | "LetterClient"
  | "GetFluxlyClient"
  | "TrophyClient"
  | "ValuedClient"
  | "HttpEventPublisher"
  | "@segment/analytics-node"
  | "posthog-node";

export type Fault =
  | "503 for 10 s"
  | "refused for 10 s"
  | "429 with Retry-After"
  | "close during an outage"
  | "SIGTERM"
  | "SIGKILL with spool";

export interface FaultContract {
  readonly client: FaultClient;
  readonly vendor: string;
  /** Where events may be lost, the line of the contract that says so. */
  readonly permits: Readonly<Partial<Record<Fault, string>>>;
  /** Where events may act twice. */
  readonly permitsDuplicates?: string;
  /** Not ours: measured, not judged. */
  readonly isPeer?: true;
}

const LETTER_ATTEMPTS = "Letter, client: after maxRetries (3) a batch is lost and onError is called";
const NO_SPOOL = "the vendor's own client keeps its queue in memory; use the destination of createClient with a spool";
const TROPHY_ATTEMPTS = "Trophy, client: after maxRetries (2) the call rejects with a typed error";
const VALUED_ATTEMPTS = "Valued, client: one attempt per event by default, onError is called";
const LAUNCHDARKLY_ATTEMPTS = "LaunchDarkly, sender: two attempts per payload, one second apart, then it is lost";

function outage(line: string): FaultContract["permits"] {
  return {
    "503 for 10 s": line,
    "refused for 10 s": line,
    "429 with Retry-After": line,
    "close during an outage": line,
    "SIGKILL with spool": NO_SPOOL,
  };
}

export const CONTRACTS: readonly FaultContract[] = [
  { client: "createClient", vendor: "segment", permits: {} },
  { client: "createClient, letter", vendor: "letter", permits: {} },
  { client: "createClient, getfluxly", vendor: "getfluxly", permits: {} },
  { client: "createClient, trophy", vendor: "trophy", permits: {} },
  {
    client: "createClient, valued",
    vendor: "valued",
    permits: {},
    permitsDuplicates: "Valued, wire: events carry no id, so one whose answer was lost may act twice",
  },
  { client: "LetterClient", vendor: "letter", permits: outage(LETTER_ATTEMPTS) },
  { client: "GetFluxlyClient", vendor: "getfluxly", permits: { "SIGKILL with spool": NO_SPOOL } },
  { client: "TrophyClient", vendor: "trophy", permits: outage(TROPHY_ATTEMPTS) },
  { client: "ValuedClient", vendor: "valued", permits: outage(VALUED_ATTEMPTS) },
  { client: "HttpEventPublisher", vendor: "launchdarkly", permits: outage(LAUNCHDARKLY_ATTEMPTS) },
  { client: "@segment/analytics-node", vendor: "segment", permits: {}, isPeer: true },
  { client: "posthog-node", vendor: "posthog", permits: {}, isPeer: true },
];
