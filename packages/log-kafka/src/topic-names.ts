/**
 * How the topics are called: `<prefix>.<environment>` has the events of an environment, and
 * `<prefix>.<environment>.<destination>.dead`, `.marks` and `.fates` what a destination keeps
 * beside its commits, which are those of the group `<prefix>.<environment>.<destination>`. Of all
 * relays of a prefix are `<prefix>.desired`, what operators asked for, and `<prefix>.relays`, what
 * each relay tells of itself.
 */

/** Kafka's own limit: a topic is a directory. */
const NAME_MAX_CHARACTERS = 249;
const ALLOWED = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

export const COMPANIONS = ["dead", "marks", "fates"] as const;
export type Companion = (typeof COMPANIONS)[number];

export function eventsTopic(prefix: string, environment: string): string {
  return `${prefix}.${environment}`;
}

/** The group whose members deliver an environment's events to a destination. */
export function destinationGroup(topic: string, destination: string): string {
  return `${topic}.${destination}`;
}

export function companionTopic(
  prefix: string,
  owner: { readonly environment: string; readonly destination: string },
  companion: Companion,
): string {
  return `${destinationGroup(eventsTopic(prefix, owner.environment), owner.destination)}.${companion}`;
}

export function desiredTopic(prefix: string): string {
  return `${prefix}.desired`;
}

export function relaysTopic(prefix: string): string {
  return `${prefix}.relays`;
}

/** All of a destination's. */
export function companionTopics(
  prefix: string,
  owner: { readonly environment: string; readonly destination: string },
): readonly string[] {
  return COMPANIONS.map((companion) => companionTopic(prefix, owner, companion));
}

export interface NamedEnvironment {
  readonly name: string;
  readonly destinations: readonly string[];
}

/** Why names cannot be those of topics. */
export interface NameFault {
  readonly environment: string;
  /** Absent: it is the environment's own name. */
  readonly destination?: string;
  readonly message: string;
}

/**
 * What is wrong with the names of topics. Kafka refuses a topic whose name is another's but for
 * dots in the place of underscores: its metrics could not tell them apart.
 */
export function topicNameFaults(prefix: string, environments: readonly NamedEnvironment[]): readonly NameFault[] {
  const faults: NameFault[] = [];
  const owners = new Map<string, { readonly topic: string; readonly whose: string }>();
  const claim = (topics: readonly string[], owner: Omit<NameFault, "message">): void => {
    const whose = owner.destination === undefined ? owner.environment : `${owner.environment}/${owner.destination}`;
    for (const topic of topics) {
      const same = topic.replaceAll(".", "_");
      const other = owners.get(same);
      const message = nameFault(topic) ?? (other === undefined ? undefined : clash(topic, other));
      owners.set(same, other ?? { topic, whose });
      if (message === undefined) continue;
      faults.push({ ...owner, message });
      return;
    }
  };
  for (const topic of [desiredTopic(prefix), relaysTopic(prefix)])
    owners.set(topic.replaceAll(".", "_"), { topic, whose: "the relays" });
  for (const { name: environment } of environments) {
    claim([eventsTopic(prefix, environment)], { environment });
    // Where one installation's prefix begins with another's, only these can be topics of both.
    if (COMPANIONS.some((companion) => companion === environment)) faults.push({ environment, message: RESERVED });
  }
  for (const { name: environment, destinations } of environments)
    for (const destination of destinations)
      claim(companionTopics(prefix, { environment, destination }), { environment, destination });
  return faults;
}

const RESERVED = "is a name that Waybill needs: topics of destinations end with it, also those of other installations";

function nameFault(topic: string): string | undefined {
  if (topic.length > NAME_MAX_CHARACTERS)
    return `is too long: its topic ${topic} has ${topic.length} characters, Kafka allows ${NAME_MAX_CHARACTERS}`;
  return ALLOWED.test(topic) ? undefined : `makes a topic that Kafka does not allow: ${topic}`;
}

function clash(topic: string, other: { readonly topic: string; readonly whose: string }): string {
  return `has the topic ${topic}, which Kafka takes for ${other.topic} of ${other.whose}`;
}
