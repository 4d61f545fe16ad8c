/**
 * What operators ask of all relays before a cluster, and what each relay knows of the others (ADR
 * 15). A request is written to the topic `<prefix>.desired`, and carried out by each relay when it
 * reads it, in the order of the topic: also by the one that was asked. Each tells in
 * `<prefix>.relays` how far it has come, which is what an answer waits for.
 */
import { type Clock, createUuidV7, messageOf, type Random, WaybillError } from "@waybill/core";
import {
  type Broker,
  CLOCKS_DIFFER_MS,
  desiredTopic,
  type KeyedRecord,
  KeyedTopic,
  relaysTopic,
} from "@waybill/log-kafka";
import { keyOf, type LaneName, ownerOf } from "../admin/cluster/cluster-view.ts";
import type { ReloadResult } from "../admin/views.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import { ownerOf as ownerOfKeys } from "../credentials/credentials.ts";
import type { KeptRotation } from "../credentials/kept-rotations.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import { safeError } from "../log-lines/safe-text.ts";
import type { AskedReplay, ReplayName, ReplayRecords } from "./asked-replays.ts";
import { clearly } from "./clearly.ts";
import { type Confirmation, confirmed } from "./confirmations.ts";
import {
  DesiredState,
  type LanesOf,
  pauseKey,
  RELOAD_KEY,
  rotationKey,
  sealedRotation,
  type Wish,
} from "./desired-state.ts";
import type { Holds } from "./holds.ts";
import { boundedLanes, boundedTexts } from "./lane-entries.ts";
import { RelayAnnouncer } from "./relay-announcer.ts";
import { type LaneEntry, RelayDirectory, type RelayRecord } from "./relay-directory.ts";
import type { ReportedConfig } from "./reported-config.ts";
import { Sealing } from "./sealing.ts";
import { WatchedTopics } from "./watched-topics.ts";

/** What the relay does when it reads what was asked for. */
export interface CarryOut {
  /** The lanes of a destination follow {@link Holds.holdOf}. */
  steer(lanes: LanesOf): void;
  /** The lanes of an environment follow {@link ReplayRecords.replaysOf}. */
  replay(environment: string): void;
  /** **Errors**: then the keys before hold. */
  adopt(rotation: KeptRotation): Promise<void>;
  /** Never rejects. */
  reload(): Promise<ReloadResult>;
  lanes(): readonly LaneEntry[];
  /** What operators should know of its environments. */
  faults(): readonly string[];
  config(): ReportedConfig;
}

export interface ClusterControlOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly kafka: KafkaConfig;
  readonly carryOut: CarryOut;
  readonly report: WriteLine;
  /** Host name and process id. */
  readonly name: string;
  readonly version: string;
}

/** How long a request is written again when it is not answered, ms. */
const WRITE_MS = 3_000;
const FULL = "has more keys, or larger ones, than a relay keeps";
const EMPTY_IT =
  "Let relays alone write to it. Stop all relays, remove it, start them, and ask again for pauses and rotations.";
/** Of a record of `<prefix>.relays`: {@link boundedLanes} keeps far below. */
const MESSAGE_MAX_BYTES = 8 * 1024 * 1024;

export class ClusterControl implements Holds, ReplayRecords {
  readonly directory: RelayDirectory;
  readonly #options: ClusterControlOptions;
  readonly #topics: WatchedTopics;
  readonly #id: string;
  readonly #startedAtMs: number;
  readonly #sealing: Sealing | undefined;
  readonly #state: DesiredState;
  /** There was no room for what was asked. */
  #isFull = false;
  /** What was there at the start is read. */
  #isOpen = false;
  #appliedOffset = 0;
  /** Of the last one that may have been asked for after this process read its file. */
  #missedReload: number | undefined;
  /** What takes time is carried out one after another, from {@link start} on. */
  #carryingOut: Promise<void>;
  #begin: () => void = () => undefined;
  #lastReload: { readonly offset: number; readonly result: ReloadResult } | undefined;
  #desired: KeyedTopic | undefined;
  #relays: KeyedTopic | undefined;
  #announcer: RelayAnnouncer | undefined;
  /** By topic, how many of reading and writing fail. */
  readonly #failing = new Map<string, number>();

  private constructor(options: ClusterControlOptions) {
    const { broker, clock, random, kafka, report } = options;
    const { replicationFactor, minInSyncReplicas, brokers } = kafka;
    this.#options = options;
    this.#topics = new WatchedTopics({
      broker,
      brokers,
      clock,
      report,
      needs: {
        isCompacted: true,
        partitions: 1,
        replicationFactor,
        minInSyncReplicas,
        retention: { maxAgeMs: 0, hardMaxBytes: 0 },
        maxMessageBytes: MESSAGE_MAX_BYTES,
      },
    });
    this.#id = createUuidV7(clock, random)();
    this.#startedAtMs = clock.now();
    this.#sealing = kafka.sealingKey === undefined ? undefined : new Sealing(kafka.sealingKey, random);
    this.#state = new DesiredState(this.#sealing);
    this.directory = new RelayDirectory(clock, this.#id);
    this.#carryingOut = new Promise((resolve) => {
      this.#begin = resolve;
    });
  }

  /**
   * Makes or checks the topics, and reads what is there. **Errors**: `WAYBILL_LOG_TOPIC`,
   * `WAYBILL_LOG_UNAVAILABLE`.
   */
  static async open(options: ClusterControlOptions): Promise<ClusterControl> {
    const control = new ClusterControl(options);
    try {
      await clearly(() => control.#open());
    } catch (error) {
      control.#close();
      throw error;
    }
    return control;
  }

  async #open(): Promise<void> {
    const { broker, clock, kafka } = this.#options;
    const desired = desiredTopic(kafka.topicPrefix);
    const relays = relaysTopic(kafka.topicPrefix);
    await this.#topics.open([desired, relays]);
    this.#desired = await KeyedTopic.open({
      broker,
      clock,
      topic: desired,
      onRecord: (record) => this.#read(record, this.#state.note(record.key, record.value)),
      onReading: (error) => this.#tellOf(desired, error),
    });
    this.#relays = await KeyedTopic.open({
      broker,
      clock,
      topic: relays,
      onRecord: ({ key, value, appendedAtMs }) => {
        if (value === "") this.directory.forget(key);
        else this.directory.note(key, value, this.#isOpen ? 0 : Math.max(0, clock.now() - appendedAtMs));
      },
      onEnd: () => this.#relaysRead(),
      onReading: (error) => this.#tellOf(relays, error),
    });
    this.#isOpen = true;
    this.#reloadMissed();
  }

  /** Rotations to begin with: from the call on they count as carried out. */
  takeRotations(): readonly KeptRotation[] {
    const { rotations } = this.#state;
    for (const rotation of rotations) this.#state.held(rotation);
    return rotations;
  }

  /** The last rotations. */
  get rotations(): readonly KeptRotation[] {
    return this.#state.rotations;
  }

  /**
   * Carries out what is asked from now on, and makes the relay known. Resolves before any lane may
   * begin: who asks later waits for this relay. Never rejects.
   */
  async start(): Promise<void> {
    const { clock, kafka } = this.#options;
    const topic = this.#relays;
    if (topic === undefined) return;
    for (const fault of this.#state.faults) this.#options.report("rotation_not_used", { text: fault });
    this.#tellLeftOutOnce();
    const onWriting = (error: string | undefined): void => this.#tellOf(relaysTopic(kafka.topicPrefix), error);
    const record = (): RelayRecord => this.#record();
    this.#announcer = new RelayAnnouncer({ clock, topic, id: this.#id, record, onWriting });
    this.#begin();
    this.#topics.watch();
    await this.#announcer.start();
  }

  async caughtUp(): Promise<void> {
    await this.#desired?.catchUp();
  }

  async caughtUpWithAll(): Promise<void> {
    // Who asks for something after that waits for this relay, or is read.
    await this.#announcer?.known();
    await this.#desired?.catchUpWithAll(WRITE_MS);
  }

  holdOf(lanes: LanesOf): string | undefined {
    return this.#state.holdOf(lanes);
  }

  replaysOf(environment: string): readonly AskedReplay[] {
    return this.#state.replays.of(environment);
  }

  forgottenKeys(environment: string): readonly string[] {
    return this.#state.hasLeftOut ? [] : this.#state.replays.forgottenKeys(environment);
  }

  isForgotten(name: ReplayName): boolean {
    return !this.#state.hasLeftOut && this.#state.replays.isForgotten(name);
  }

  async writeReplay(key: string, value: string): Promise<void> {
    await this.#write(key, value);
  }

  reportedLane(lane: LaneName): LaneEntry | undefined {
    const owner = ownerOf(this.directory.relays(), lane);
    return owner?.lanes.find((one) => keyOf(one) === keyOf(lane));
  }

  lanesChanged(): void {
    this.#announcer?.changed();
  }

  /**
   * **Errors**: `WAYBILL_LOG_UNAVAILABLE`: it may be carried out all the same. `WAYBILL_INPUT`: the
   * topic has no room for it.
   */
  steer(lanes: LanesOf, action: "pause" | "resume"): Promise<Confirmation> {
    const isConcerned = ({ environment, destination }: LaneEntry): boolean =>
      environment === lanes.environment && destination === lanes.destination;
    return this.#request(pauseKey(lanes), action === "pause" ? this.#signed() : "", isConcerned);
  }

  /** Whether a rotation can be written. **Errors**: `WAYBILL_CONFIG`, with what to do. */
  checkSealing(): Sealing {
    if (this.#sealing !== undefined) return this.#sealing;
    throw new WaybillError("WAYBILL_CONFIG", "A key is rotated for all relays, and kafka.sealingKey is not set.", {
      hint: "Set the same kafka.sealingKey at each relay: the new key is sealed with it in Kafka. Or put the new key into each relay's file and reload.",
    });
  }

  /** **Errors**: as {@link steer}, and `WAYBILL_CONFIG` without a sealing key. */
  async rotate(rotation: KeptRotation): Promise<Confirmation> {
    return this.#request(rotationKey(rotation.keySet), sealedRotation(rotation, this.checkSealing()), () => true);
  }

  /** Each relay reads its own configuration. **Errors**: as {@link steer}. */
  async reload(): Promise<ReloadResult> {
    const offset = await this.#write(RELOAD_KEY, this.#signed());
    const waiting = await this.#confirmed(offset, () => true);
    const own = this.#lastReload?.offset === offset ? this.#lastReload.result : NOT_YET;
    const errors = [
      ...own.errors,
      ...this.directory
        .relays()
        .filter(({ isSelf, isMissing }) => !isSelf && !isMissing)
        .flatMap(({ name, reloadErrors }) => reloadErrors.map((error) => `${name}: ${error}`)),
      ...waiting.map((name) => `${name} has not confirmed it yet`),
    ];
    return { ...own, ok: errors.length === 0, errors };
  }

  /** After the lanes are closed: the relay is known to have stopped. Never rejects. */
  async stop(): Promise<void> {
    await this.#announcer?.stop();
    this.#close();
  }

  #close(): void {
    this.#topics.close();
    this.#desired?.close();
    this.#relays?.close();
  }

  /** Holds are there at once; what takes time comes after what was read before. */
  #read({ offset, appendedAtMs }: KeyedRecord, wish: Wish | undefined): void {
    if (!this.#isOpen) {
      if (wish?.type === "reload" && appendedAtMs > this.#startedAtMs - CLOCKS_DIFFER_MS) this.#missedReload = offset;
      this.#appliedOffset = offset + 1;
      return;
    }
    const { carryOut, report } = this.#options;
    if (wish?.type === "pause" || wish?.type === "resume") carryOut.steer(wish);
    if (wish?.type === "replay") carryOut.replay(wish.environment);
    if (wish?.type === "left out") this.#tellLeftOutOnce();
    if (wish?.type === "unopened") {
      const [text = ""] = boundedTexts([`${wish.keySet.trim()}: ${wish.reason}`]);
      report("rotation_not_used", { text });
      this.#steerOwner(wish.keySet);
    }
    this.#carryingOut = this.#carryingOut.then(async () => {
      if (wish?.type === "rotation") await this.#adopt(wish.rotation);
      if (wish?.type === "reload") this.#lastReload = { offset, result: await carryOut.reload() };
      this.#appliedOffset = offset + 1;
      // Nobody waits for what asks for nothing.
      if (wish !== undefined) this.#announcer?.changed();
    });
  }

  /** What was asked for after our own file was read is carried out, and only then confirmed. */
  #reloadMissed(): void {
    const offset = this.#missedReload;
    if (offset === undefined) return;
    const readTo = this.#appliedOffset;
    this.#appliedOffset = offset;
    this.#carryingOut = this.#carryingOut.then(async () => {
      this.#lastReload = { offset, result: await this.#options.carryOut.reload() };
      this.#appliedOffset = readTo;
      this.#announcer?.changed();
    });
  }

  #tellLeftOutOnce(): void {
    if (!this.#state.hasLeftOut || this.#isFull) return;
    this.#isFull = true;
    this.#options.report("desired_topic_full", { topic: desiredTopic(this.#options.kafka.topicPrefix) });
  }

  async #adopt(rotation: KeptRotation): Promise<void> {
    const { carryOut, report } = this.#options;
    try {
      await carryOut.adopt(rotation);
      this.#state.held(rotation);
    } catch (error) {
      const reason = `its rotated key cannot be used: ${safeError(error)}`;
      this.#state.notHeld(rotation, reason);
      report("rotation_not_used", { text: `${rotation.keySet.trim()}: ${reason}` });
    }
    this.#steerOwner(rotation.keySet);
  }

  #steerOwner(keySet: string): void {
    const { environment, destination } = ownerOfKeys(keySet);
    if (destination !== undefined) this.#options.carryOut.steer({ environment, destination });
  }

  async #request(key: string, value: string, concerns: (lane: LaneEntry) => boolean): Promise<Confirmation> {
    const unconfirmed = await this.#confirmed(await this.#write(key, value), concerns);
    // Others may have written meanwhile.
    this.#assertRoomFor(key, value);
    return { unconfirmed };
  }

  #assertRoomFor(key: string, value: string): void {
    if (this.#state.hasRoomFor(key, value)) return;
    const topic = desiredTopic(this.#options.kafka.topicPrefix);
    throw new WaybillError("WAYBILL_INPUT", `${topic} ${FULL}: it is not carried out`, { hint: EMPTY_IT });
  }

  async #write(key: string, value: string): Promise<number> {
    const topic = desiredTopic(this.#options.kafka.topicPrefix);
    try {
      if (this.#desired === undefined) throw new WaybillError("WAYBILL_CLOSED", "The relay is stopping.");
      this.#assertRoomFor(key, value);
      return await this.#desired.write(key, value, WRITE_MS);
    } catch (error) {
      if (error instanceof WaybillError) throw error;
      const text = `It could not be written to ${topic}: ${messageOf(error)}. It may be carried out all the same.`;
      throw new WaybillError("WAYBILL_LOG_UNAVAILABLE", text, {
        retryable: true,
        cause: error,
        hint: "Look at the brokers, and ask again.",
      });
    }
  }

  /** Names of those that did not confirm in time. */
  #confirmed(offset: number, concerns: (lane: LaneEntry) => boolean): Promise<readonly string[]> {
    const { clock } = this.#options;
    return confirmed({
      clock,
      concerns,
      offset: offset + 1,
      ownOffset: () => this.#appliedOffset,
      relays: () => this.directory.relays(),
      // Relays that had lanes when this was written are known then.
      caughtUp: (withinMs) => this.#relays?.catchUpWithAll(withinMs) ?? Promise.resolve(),
    });
  }

  #relaysRead(): void {
    this.directory.read();
    const topic = this.#relays;
    if (topic === undefined) return;
    // Of those that died; each relay that is here removes them.
    for (const id of this.directory.forgotten) {
      this.directory.forget(id);
      void topic.write(id, "").catch(() => undefined);
    }
  }

  #record(): RelayRecord {
    const { name, version, kafka, carryOut } = this.#options;
    return {
      id: this.#id,
      name,
      version,
      startedAtMs: this.#startedAtMs,
      ...(kafka.advertise === undefined ? {} : { adminUrl: kafka.advertise }),
      ...carryOut.config(),
      appliedOffset: this.#appliedOffset,
      faults: boundedTexts([
        ...(this.#isFull
          ? [`${desiredTopic(kafka.topicPrefix)} ${FULL}: what came after that is not carried out`]
          : []),
        ...this.#state.faults,
        ...this.#topics.faults,
        ...carryOut.faults(),
      ]),
      reloadErrors: boundedTexts(this.#lastReload?.result.errors ?? []),
      ...boundedLanes(carryOut.lanes()),
    };
  }

  /** For people who read the topic. */
  #signed(): string {
    const { clock, name } = this.#options;
    return JSON.stringify({ atMs: clock.now(), by: name });
  }

  #tellOf(topic: string, error: string | undefined): void {
    const failing = (this.#failing.get(topic) ?? 0) + (error === undefined ? -1 : 1);
    this.#failing.set(topic, failing);
    if (error === undefined && failing === 0) this.#options.report("cluster_topic_works", { topic });
    if (error !== undefined && failing === 1) this.#options.report("cluster_topic_failing", { topic, error });
  }
}

const NOT_YET: ReloadResult = { ok: false, changed: [], errors: [] };
