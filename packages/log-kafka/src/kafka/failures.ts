import { BrokerError, type BrokerErrorCode } from "../broker.ts";

/** What Kafka's error codes mean to who called. */
const CODES: Readonly<Record<BrokerErrorCode, readonly number[]>> = {
  // UNKNOWN_SERVER_ERROR, REQUEST_TIMED_OUT, THROTTLING_QUOTA_EXCEEDED
  timeout: [-1, 7, 89],
  // NETWORK_EXCEPTION
  unreachable: [13],
  // LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, BROKER_NOT_AVAILABLE, REPLICA_NOT_AVAILABLE,
  // COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, NOT_CONTROLLER,
  // KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE,
  // UNSTABLE_OFFSET_COMMIT, UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID
  not_leader: [5, 6, 8, 9, 14, 15, 16, 41, 56, 74, 75, 78, 88, 100, 103],
  // NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND
  not_enough_replicas: [19, 20],
  // ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, GROUP_ID_NOT_FOUND,
  // FENCED_INSTANCE_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, STALE_MEMBER_EPOCH
  fenced: [22, 25, 27, 69, 82, 110, 111, 113],
  // UNKNOWN_TOPIC_OR_PARTITION
  unknown_topic: [3],
  // TOPIC_ALREADY_EXISTS
  exists: [36],
  // MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE
  too_large: [10, 18],
  offset_out_of_range: [1],
  // OFFSET_METADATA_TOO_LARGE
  metadata_too_large: [12],
  // TOPIC_, GROUP_, CLUSTER_, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, UNSUPPORTED_SASL_MECHANISM,
  // ILLEGAL_SASL_STATE, SASL_AUTHENTICATION_FAILED
  unauthorized: [29, 30, 31, 53, 33, 34, 58],
  // UNSUPPORTED_VERSION, UNSUPPORTED_FOR_MESSAGE_FORMAT, UNSUPPORTED_ASSIGNOR
  unsupported: [35, 43, 112],
  invalid: [],
};
const BY_NUMBER: ReadonlyMap<number, BrokerErrorCode> = new Map(
  Object.entries(CODES).flatMap(([code, numbers]) => numbers.map((number) => [number, code as BrokerErrorCode])),
);

/** The parts of the library's errors that are looked at. */
interface Fault {
  readonly code?: string;
  readonly message?: string;
  readonly cause?: unknown;
  /** Of an error that a response carries: Kafka's number and name. */
  readonly apiCode?: number;
  readonly apiId?: string;
  readonly errors?: readonly unknown[];
}

/** Kafka's error code as one of ours; what nobody foresaw is `invalid`. */
export function failureOf(number: number, message: string): BrokerError {
  return new BrokerError(BY_NUMBER.get(number) ?? "invalid", `${message} (Kafka's error ${number})`);
}

/**
 * What the library threw, as one of ours. `what`: the call, for the message. Nobody knows what was
 * done by a call whose answer could not be read, as if it had not come.
 */
export function failureFrom(error: unknown, what: string): BrokerError {
  if (error instanceof BrokerError) return error;
  const chain = causesOf(error as Fault);
  const known = chain.find((one) => one instanceof BrokerError);
  if (known instanceof BrokerError) return known;
  const answered = chain.find(({ apiCode }) => apiCode !== undefined);
  if (answered?.apiCode !== undefined) return failureOf(answered.apiCode, `${what}: ${answered.apiId}`);
  const message = `${what}: ${chain.map((one) => one.message).join(": ")}`;
  return new BrokerError(isRefused(chain) ? "unauthorized" : "unreachable", message);
}

/** The error, what caused it, and so on; of errors of a response the first. */
function causesOf(error: Fault): readonly Fault[] {
  const chain: Fault[] = [];
  for (let at: Fault | undefined = error; at !== undefined && at !== null && !chain.includes(at); ) {
    chain.push(at);
    at = (at.errors?.[0] ?? at.cause) as Fault | undefined;
  }
  return chain;
}

/** Authentication fails as well when the broker goes away: the cause is the network then. */
function isRefused(chain: readonly Fault[]): boolean {
  const authentication = chain.findLastIndex(({ code }) => code === "PLT_KFK_AUTHENTICATION");
  return authentication > chain.findLastIndex(({ code }) => code === "PLT_KFK_NETWORK");
}
