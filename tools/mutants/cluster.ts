import type { Mutant } from "./mutant.ts";

const KAFKA = "packages/log-kafka/src";
const KAFKA_TESTS = "packages/log-kafka/test";
const RELAY = "packages/relay/src";
const CLUSTER_TESTS = "packages/relay/test/cluster";
const BROKER_TESTS = [`${KAFKA_TESTS}/kafka-broker.test.ts`];
const STATE_TESTS = [`${KAFKA_TESTS}/lane-states.test.ts`];
const WRITTEN_TESTS = [`${KAFKA_TESTS}/written.test.ts`];
const RECENT_TESTS = [`${KAFKA_TESTS}/recent.test.ts`];
const DUPLICATE_TESTS = [`${KAFKA_TESTS}/duplicates.test.ts`];
const RETENTION_TESTS = [`${CLUSTER_TESTS}/retention.test.ts`, `${CLUSTER_TESTS}/checkpoints.test.ts`];
const SESSION_TESTS = [`${CLUSTER_TESTS}/group-session.test.ts`];
const OUTAGE_TESTS = [`${CLUSTER_TESTS}/outages.test.ts`];
const PASS_TESTS = ["packages/relay/test/admin/cluster/pass-on.test.ts"];

/** What is accepted, and who may write what became of it. */
const FENCING: readonly Mutant[] = [
  {
    name: "kafka: a record is acknowledged by all replicas in sync",
    file: `${KAFKA}/kafka/requests.ts`,
    find: "const ALL_REPLICAS = -1;",
    replace: "const ALL_REPLICAS = 1;",
    tests: [`${KAFKA_TESTS}/kafka-produce.test.ts`],
  },
  {
    name: "kafka: what waited for a call goes with what comes shortly after its answer",
    file: `${KAFKA}/produce-queue.ts`,
    find: "if (this.#waiting.length > 0) await linger();",
    replace: "if (this.#waiting.length < 0) await linger();",
    tests: [`${KAFKA_TESTS}/producer.test.ts`],
  },
  {
    name: "kafka: batches of one request are in memory one after another",
    file: `${KAFKA}/kafka/requests.ts`,
    find: "target = target.subarray(batch.length);",
    replace: "",
    tests: [`${KAFKA_TESTS}/kafka-produce.test.ts`],
  },
  {
    name: "kafka: a commit names the epoch at which its partition came",
    file: `${KAFKA}/lane-commits.ts`,
    find: "const { memberId, memberEpoch } = (writes[0] as Write).lane.tenure;",
    replace: "const { memberId } = (writes[0] as Write).lane.tenure;\n    const memberEpoch = -1;",
    tests: STATE_TESTS,
  },
  {
    name: "kafka: a lane whose commit is refused ends",
    file: `${KAFKA}/lane-commits.ts`,
    find: 'if (error.code === "fenced") for',
    replace: 'if (error.code === "exists") for',
    tests: STATE_TESTS,
  },
  {
    name: "kafka: a commit without an answer is not simply sent again",
    file: `${KAFKA}/lane-commits.ts`,
    find: "error.isUncertain) return this.#decide(writes, error);",
    replace: "false) return this.#decide(writes, error);",
    tests: STATE_TESTS,
  },
  {
    name: "kafka: what is stored says nothing of a commit that was sent twice",
    file: `${KAFKA}/lane-commits.ts`,
    find: "if (!isRepeated && found",
    replace: "if (isRepeated !== undefined && found",
    tests: STATE_TESTS,
  },
  {
    name: "kafka: what is held is given up when the session is over",
    file: `${RELAY}/cluster/lane-group.ts`,
    find: "      sessionMs,\n      clock,",
    replace: "      sessionMs: 4 * sessionMs,\n      clock,",
    tests: SESSION_TESTS,
  },
  {
    name: "kafka: brokers without groups of KIP-848 are refused",
    file: `${RELAY}/cluster/group-session.ts`,
    find: 'if (!(error instanceof BrokerError && error.code === "fenced")) throw error;',
    replace: "if (!(error instanceof BrokerError)) throw error;",
    tests: SESSION_TESTS,
  },
  {
    name: "kafka: a coordinator of Kafka 4.2 gets no heartbeat",
    file: `${KAFKA}/kafka/groups.ts`,
    find: "{ level: 30,",
    replace: "{ level: 29,",
    tests: BROKER_TESTS,
  },
  {
    name: "kafka: a coordinator that is too old is asked for again",
    file: `${KAFKA}/kafka-broker.ts`,
    find: 'if (isTransient || code === "unsupported")',
    replace: 'if (isTransient || code === "exists")',
    tests: BROKER_TESTS,
  },
];

/** What each relay has to decide as all others do. */
const COUNTING: readonly Mutant[] = [
  {
    name: "kafka: what was written here is taken only where it comes next",
    file: `${KAFKA}/tail.ts`,
    find: "if (one.offset > offset) {",
    replace: "if (one.offset < 0) {",
    tests: WRITTEN_TESTS,
  },
  {
    name: "kafka: what others have written before what was written here is fetched at once",
    file: `${KAFKA}/tail.ts`,
    find: "if (quiet > 0 && this.#lacks) quiet",
    replace: "if (quiet < 0 && this.#lacks) quiet",
    tests: WRITTEN_TESTS,
  },
  {
    name: "kafka: what is older than what is kept in memory is fetched",
    file: `${KAFKA}/recent.ts`,
    find: "if (offset < this.#from) return undefined;",
    replace: "if (offset < Math.min(0, this.#from)) return undefined;",
    tests: RECENT_TESTS,
  },
  {
    name: "kafka: what is kept in memory is bounded",
    file: `${KAFKA}/recent.ts`,
    find: "while (this.#bytes > this.#maxBytes) {",
    replace: "while (this.#bytes > this.#maxBytes + 1e9) {",
    tests: RECENT_TESTS,
  },
  {
    name: "kafka: what was written here is not counted again after a fetch",
    file: `${KAFKA}/tail.ts`,
    find: "if (one.offset < offset) continue;",
    replace: "if (one.offset < 0) continue;",
    tests: WRITTEN_TESTS,
  },
  {
    name: "kafka: a duplicate within the window of time is one, and no other",
    file: `${KAFKA}/duplicates.ts`,
    find: "appendedAtMs - last.atMs <= windowMs)",
    replace: "appendedAtMs - last.atMs <= 2 * windowMs)",
    tests: DUPLICATE_TESTS,
  },
  {
    name: "kafka: a duplicate within the window of ids is one, and no other",
    file: `${KAFKA}/duplicates.ts`,
    find: "ordinal - last.ordinal <= maxIds &&",
    replace: "ordinal - last.ordinal < maxIds &&",
    tests: DUPLICATE_TESTS,
  },
  {
    name: "kafka: a duplicate counts for the one after it",
    file: `${KAFKA}/duplicates.ts`,
    find: "(found === 0 ? undefined",
    replace: "(found < 2 ** 32 ? undefined",
    tests: DUPLICATE_TESTS,
  },
  {
    name: "kafka: the position of an event is how many came before it",
    file: `${KAFKA}/counting.ts`,
    find: "position += record.count;",
    replace: "position += 1;",
    tests: [`${KAFKA_TESTS}/partition-log.test.ts`],
  },
  {
    name: "kafka: of two values for one position the first one counts",
    file: `${KAFKA}/counting.ts`,
    find: "written >= position)",
    replace: "written >= 0)",
    tests: [`${KAFKA_TESTS}/companion.test.ts`],
  },
];

const RETENTION: readonly Mutant[] = [
  {
    name: "kafka: before events are removed there is a place to count from",
    file: `${RELAY}/cluster/cluster-retention.ts`,
    find: "await checkpoints.write(new Map([[partition, { ...log.checkpoint, first: end }]]));",
    replace: "",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: a relay that starts knows where a partition begins",
    file: `${RELAY}/cluster/cluster-retention.ts`,
    find: "old.learn((await this.#options.checkpoints.read(partition))?.first)",
    replace: "old.learn(undefined)",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: what other configurations need is kept",
    file: `${RELAY}/cluster/needed-from.ts`,
    find: "new Set([...own, ...elsewhere])",
    replace: "new Set(own)",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: what a relay does not report may be needed",
    file: `${RELAY}/cluster/needed-from.ts`,
    find: "if (elsewhere === undefined) return 0;",
    replace: "if (elsewhere === undefined) return log.head;",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: a partition is looked after by one relay, of those that deliver it",
    file: `${RELAY}/cluster/cluster-retention.ts`,
    find: "own <= elsewhere",
    replace: "own >= elsewhere",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: partitions that nobody delivers have their retention",
    file: `${RELAY}/cluster/cluster-retention.ts`,
    find: "return nowMs - sinceMs >= UNOWNED_MS && this.#isFirstRelay;",
    replace: "return nowMs - sinceMs < -UNOWNED_MS && this.#isFirstRelay;",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: one relay looks after what nobody delivers",
    file: `${RELAY}/cluster/cluster-retention.ts`,
    find: "return nowMs - sinceMs >= UNOWNED_MS && this.#isFirstRelay;",
    replace: "return nowMs - sinceMs >= UNOWNED_MS || this.#isFirstRelay;",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: a place is the first record's only where the broker begins there",
    file: `${KAFKA}/old-records.ts`,
    find: "return this.#first?.offset === kept.firstOffset ? this.#first : undefined;",
    replace: "return this.#first;",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: what no limit wants to be removed stays",
    file: `${KAFKA}/old-records.ts`,
    find: "return isOld && end <= neededFrom &&",
    replace: "return (isOld || end <= neededFrom) &&",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: what duplicates are known by stays, of what this relay has read",
    file: `${KAFKA}/old-records.ts`,
    find: "neededFrom: Math.min(wanted.neededFrom,",
    replace: "neededFrom: Math.max(wanted.neededFrom,",
    tests: RETENTION_TESTS,
  },
  {
    name: "kafka: what duplicates are known by stays, of what was written before",
    file: `${KAFKA}/old-records.ts`,
    find: "end > window.from && appendedAtMs >= window.atMs;",
    replace: "end < window.from && appendedAtMs >= window.atMs;",
    tests: RETENTION_TESTS,
  },
];

const REPLAYS: readonly Mutant[] = [
  {
    name: "kafka: how a replay ended is written by who has the lane",
    file: `${RELAY}/cluster/lane-replays.ts`,
    find: "    if (!state.isFinal(id)) await state.confirm();\n    if (!state.isOurs) return;\n",
    replace: "",
    tests: [`${CLUSTER_TESTS}/lane-replays.test.ts`],
  },
  {
    name: "kafka: whoever gets a lane goes on with its replays where they were",
    file: `${RELAY}/cluster/lane-replays.ts`,
    find: "storedReplay(replay, part, state.progressOf(id))",
    replace: "storedReplay(replay, part, undefined)",
    tests: [`${CLUSTER_TESTS}/replays.test.ts`],
  },
  {
    name: "kafka: a replay that may have sent a batch begins first",
    file: `${RELAY}/cluster/lane-replays.ts`,
    find: "progress.leased > 0 ? 1 : 2",
    replace: "progress.leased > 0 ? 2 : 1",
    tests: [`${CLUSTER_TESTS}/lane-replays.test.ts`],
  },
  {
    name: "kafka: a replay that is done has its place until its end is written",
    file: `${RELAY}/cluster/lane-replays.ts`,
    find: "state.replays.length + coming < REPLAYS_AT_ONCE",
    replace: "coming < REPLAYS_AT_ONCE",
    tests: [`${CLUSTER_TESTS}/lane-replays.test.ts`],
  },
  {
    name: "kafka: the end of what is done makes room where nothing can be committed",
    file: `${RELAY}/cluster/lane-replays.ts`,
    find: "if (!state.isFinal(id)) await",
    replace: "await",
    tests: [`${CLUSTER_TESTS}/lane-replays.test.ts`],
  },
  {
    name: "kafka: who was away reads a topic anew that is another one now",
    file: `${KAFKA}/keyed-topic.ts`,
    find: "if (!isSame) await",
    replace: "if (isSame) await",
    tests: [`${KAFKA_TESTS}/keyed-topic.test.ts`],
  },
  {
    name: "kafka: a relay that is silent is not forgotten while its lanes may be its own",
    file: `${RELAY}/cluster/relay-directory.ts`,
    find: "if (telling.length === 0) return lanes.length === 0;",
    replace: "if (isOld) return true;",
    tests: [`${CLUSTER_TESTS}/relay-directory.test.ts`],
  },
  {
    name: "kafka: a reload ends the halt of replays",
    file: `${RELAY}/cluster/lane-group.ts`,
    find: "for (const { held } of this.#lanes.values()) held.environment.replays.reconfigured();",
    replace: "",
    tests: [`${CLUSTER_TESTS}/replays.test.ts`],
  },
  {
    name: "kafka: a fetch that got nothing is asked for again until its time is over",
    file: `${KAFKA}/kafka/shared-fetch.ts`,
    find: "if (isEmpty && one.untilMs - nowMs > GATHER_MS)",
    replace: "if (isEmpty && one.untilMs < nowMs)",
    tests: [`${KAFKA_TESTS}/shared-fetch.test.ts`],
  },
];

/** What relays write for each other. */
const TRUST: readonly Mutant[] = [
  {
    name: "kafka: a sealed key is of the key set that it was sealed for",
    file: `${RELAY}/cluster/sealing.ts`,
    find: "decipher.setAAD(Buffer.from(name)).setAuthTag(tag);",
    replace: "decipher.setAAD(Buffer.from(name.slice(0, 0))).setAuthTag(tag);",
    tests: [`${CLUSTER_TESTS}/sealing.test.ts`],
  },
  {
    name: "kafka: a request of another relay is signed for its path",
    file: `${RELAY}/admin/cluster/relay-signature.ts`,
    find: "JSON.stringify([RELAY_SCHEME, to, method, path, atMs, nonce, bodyDigest])",
    replace: "JSON.stringify([RELAY_SCHEME, to, method, path.length, atMs, nonce, bodyDigest])",
    tests: PASS_TESTS,
  },
  {
    name: "kafka: a signed request is taken once",
    file: `${RELAY}/admin/cluster/relay-signature.ts`,
    find: "if (this.#taken.has(nonce)) return undefined;",
    replace: "",
    tests: PASS_TESTS,
  },
  {
    name: "kafka: of what operators asked so much is kept as there is room for",
    file: `${RELAY}/cluster/desired-keys.ts`,
    find: "this.#kept.size < KEYS_MAX",
    replace: "this.#kept.size < 2 * KEYS_MAX",
    tests: [`${CLUSTER_TESTS}/desired-state.test.ts`],
  },
  {
    name: "kafka: what operators ask and there is no room for is refused",
    file: `${RELAY}/cluster/cluster-control.ts`,
    find: "    this.#assertRoomFor(key, value);\n    return { unconfirmed };",
    replace: "    return { unconfirmed };",
    tests: [`${CLUSTER_TESTS}/cluster-control.test.ts`],
  },
  {
    name: "kafka: offsets that are lost are reported where a destination was there before",
    file: `${RELAY}/cluster/lane-group.ts`,
    find: "if (isNew || partitions.length === 0) return;",
    replace: "if (isNew || partitions.length >= 0) return;",
    tests: OUTAGE_TESTS,
  },
  {
    name: "kafka: states that another relay is about to write are waited for",
    file: `${RELAY}/cluster/first-states.ts`,
    find: "!isNew && tries < WAITS;",
    replace: "!isNew && tries > WAITS;",
    tests: OUTAGE_TESTS,
  },
  {
    name: "kafka: an outage is logged once",
    file: `${RELAY}/cluster/outage.ts`,
    find: "this.#isReported = true;",
    replace: "this.#isReported = afterMs < 0;",
    tests: OUTAGE_TESTS,
  },
  {
    name: "kafka: a reload takes the files of kafka.tls over",
    file: `${RELAY}/plan.ts`,
    find: "    useKafkaTls();\n",
    replace: "    void useKafkaTls;\n",
    tests: [`${CLUSTER_TESTS}/kafka-tls.test.ts`],
  },
];

export const CLUSTER: readonly Mutant[] = [...FENCING, ...COUNTING, ...RETENTION, ...REPLAYS, ...TRUST];
