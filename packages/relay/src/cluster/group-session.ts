import { type Clock, createUuidV7, messageOf, type Random } from "@waybill/core";
import { type Broker, BrokerError } from "@waybill/log-kafka";
import { patiently } from "./patiently.ts";

/** Of one call, ms. */
const CALL_MS = 10_000;
/** Kafka's own default. */
const SESSION_DEFAULT_MS = 45_000;
/** Electing a coordinator takes seconds. */
const SESSION_SHORT_MS = 10_000;
/** The longest that brokers allow by default. */
const SESSION_LONG_MS = 60_000;

export interface GroupSession {
  readonly ms: number;
  /** What an operator should know of it. */
  readonly warning?: string;
}

/**
 * For how long without a heartbeat the members of a group keep their partitions, as the brokers
 * have it. **Errors**: `WAYBILL_LOG_UNAVAILABLE` when the cluster did not answer in time.
 */
export async function groupSession(broker: Broker, clock: Clock, group: string): Promise<GroupSession> {
  let known: number | undefined;
  let why = "";
  try {
    known = await patiently(clock, () => broker.sessionOf({ group, deadlineMs: CALL_MS }));
  } catch (error) {
    // A relay may start without it: the brokers fence commits in any case.
    if (!(error instanceof BrokerError)) throw error;
    why = ` (${messageOf(error)})`;
  }
  if (known === undefined)
    return {
      ms: SESSION_DEFAULT_MS,
      warning: `the brokers do not tell how long a session of ${group} is${why}, and ${SESSION_DEFAULT_MS} ms is assumed: allow the relay's user DescribeConfigs on the group`,
    };
  const ms = known;
  const setting = `group ${group}: consumer.session.timeout.ms is ${ms}`;
  if (ms < SESSION_SHORT_MS)
    return {
      ms,
      warning: `${setting}: a relay loses its lanes whenever its group's coordinator changes; 45000 is Kafka's default`,
    };
  if (ms > SESSION_LONG_MS)
    return {
      ms,
      warning: `${setting}: the lanes of a relay that dies wait for so long; 45000 is Kafka's default`,
    };
  return { ms };
}

const LEAVES = -1;

/**
 * Where a group does not fence each partition, its lanes would deliver little or nothing: a
 * stranger's leaving shows what its coordinator supports. **Errors**: `BrokerError` `unsupported`;
 * `WAYBILL_LOG_UNAVAILABLE`.
 */
export async function requireFencing(
  { broker, clock, random }: { readonly broker: Broker; readonly clock: Clock; readonly random: Random },
  group: string,
): Promise<void> {
  const memberId = createUuidV7(clock, random)();
  try {
    await patiently(clock, () => broker.heartbeat({ group, memberId, memberEpoch: LEAVES, deadlineMs: CALL_MS }));
  } catch (error) {
    if (!(error instanceof BrokerError && error.code === "fenced")) throw error;
  }
}
