/**
 * A member of a consumer group of KIP-848, by heartbeats of our own. The broker assigns partitions;
 * this tells the host, and gives one up only after the host has let go of it.
 *
 *   joining    -> member      answered, with what is ours
 *   member     -> abandoned   expelled; or no heartbeat was answered for as long as a session is;
 *                             or renewed: all is lost at once, the old id leaves
 *   abandoned  -> joining     under a new id, once leaving was answered (or the id is unknown) and
 *                             the host has ended what it had
 *   any        -> closed      the host lets go of everything, then the id leaves
 *
 * Each partition keeps the epoch of the answer in which it came. Within one id it can only go after
 * we have said so ourselves, and then comes back with a later epoch; so that epoch, in a commit, is
 * refused as soon as the partition was anybody else's.
 *
 * Heartbeats go one at a time. After one without an answer the next has all fields, and the broker
 * answers it with the whole assignment: nothing depends on an answer that was lost.
 */
import { type Clock, createUuidV7, messageOf, type Random, type Timer } from "@waybill/core";
import { type Broker, BrokerError, type HeartbeatAnswer, type TopicPartition } from "./broker.ts";
import { type Holding, Holdings } from "./holdings.ts";

/** For as long as a member keeps a partition that it got. */
export interface Tenure {
  readonly memberId: string;
  /** What a commit of it has to name. */
  readonly memberEpoch: number;
  /** The member's own epoch, which goes on while a partition keeps the one that it came with. */
  epochNow(): number;
  /** Whether a partition is still ours by this tenure, as far as our own clock tells. */
  isOurs(partition: TopicPartition): boolean;
  /** The same, and nobody waits for it: what is begun for it may go on. */
  mayBegin(partition: TopicPartition): boolean;
}

/** What has partitions. Nothing of it may throw or reject. */
export interface MemberHost {
  /** They are ours from now on. */
  assigned(partitions: readonly TopicPartition[], tenure: Tenure): void;
  /** Resolves once nothing is done for them any more, their last commits are answered included. */
  revoke(partitions: readonly TopicPartition[]): Promise<void>;
  /**
   * They are not ours any more, also those that are being revoked. Resolves once nothing is done
   * for them: the member joins again after that.
   */
  lost(partitions: readonly TopicPartition[], reason: string): Promise<void>;
  /** A heartbeat failed: it was refused, or not answered. */
  failed?(error: unknown): void;
  /** A heartbeat was answered, if only to tell that the member is expelled. */
  answered?(): void;
}

export interface MemberOptions {
  readonly broker: Pick<Broker, "heartbeat">;
  readonly group: string;
  readonly topics: readonly string[];
  readonly host: MemberHost;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * For how long what we have is ours without an answer, ms: at most what {@link Broker.sessionOf}
   * tells.
   */
  readonly sessionMs: number;
  /** How long {@link MemberHost.revoke} may take, ms; then we are expelled. Default 60,000. */
  readonly rebalanceTimeoutMs?: number;
}

const REBALANCE_TIMEOUT_MS = 60_000;
const JOINS = 0;
const LEAVES = -1;
/** Until an answer tells another one. */
const INTERVAL_MS = 5_000;
const RETRY_MS = 500;
/** So that a session has several attempts. */
const ATTEMPTS_PER_SESSION = 4;
/** Of leaving when closed: without it the others wait until the session has ended. */
const LEAVE_TRIES = 3;
const JITTER = 0.1;

export class Member {
  readonly #options: MemberOptions;
  readonly #sessionMs: number;
  readonly #newId: () => string;
  #id: string;
  #epoch = JOINS;
  readonly #held = new Holdings();
  /** Ids that were ours and have not left yet. */
  readonly #former: string[] = [];
  /** Of the last heartbeat that was answered, when it was sent. */
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #expiry: Timer | undefined;
  #intervalMs = INTERVAL_MS;
  /** A heartbeat has named the id. */
  #isKnown = false;
  /** The next heartbeat has all fields. */
  #isFull = true;
  /** What is owned has changed since the last answer. */
  #isChanged = false;
  #isClosing = false;
  /** The host ends what was lost. */
  #ending: Promise<unknown> = Promise.resolve();
  /** The host lets go of what is revoked. */
  readonly #revocations = new Set<Promise<void>>();
  #running: Promise<void> | undefined;
  #isDone = false;
  #wake: () => void = () => undefined;
  #isWoken = false;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#sessionMs = options.sessionMs;
    this.#newId = createUuidV7(options.clock, options.random);
    this.#id = this.#newId();
  }

  /** Joins. */
  start(): void {
    this.#running ??= this.#run();
  }

  get view(): { readonly memberId: string; readonly memberEpoch: number; readonly owned: readonly TopicPartition[] } {
    return { memberId: this.#id, memberEpoch: this.#epoch, owned: this.#held.partitions };
  }

  /**
   * Gives up all at once and joins under a new id: nothing that was sent by this tenure can be
   * accepted any more once the new one has begun. Nothing happens when it is another one already.
   */
  renew(tenure: Tenure, reason: string): void {
    if (tenure.memberId === this.#id && !this.#isDone) this.#abandon(reason);
  }

  /** Has the host let go of everything, and leaves. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#revocations);
    this.#held.wanted = [];
    const partitions = this.#held.revoke().map(({ partition }) => partition);
    // Heartbeats go on meanwhile: what is being finished stays ours.
    if (partitions.length > 0) await this.#options.host.revoke(partitions);
    this.#isDone = true;
    this.#stir();
    await this.#running;
    await this.#ending;
    this.#expiry?.cancel();
    this.#held.clear();
    if (this.#isKnown) this.#former.push(this.#id);
    for (let tried = 0; tried < LEAVE_TRIES && !(await this.#leave()); tried++);
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (!this.#isDone) {
      this.#isWoken = false;
      if (!(await this.#leave())) {
        await this.#pause(RETRY_MS);
        continue;
      }
      await this.#ending;
      if (this.#isDone) return;
      const isAnswered = await this.#beat();
      await this.#pause(isAnswered ? this.#intervalMs : RETRY_MS);
    }
  }

  /** False when it was not answered. */
  async #beat(): Promise<boolean> {
    const { broker, group, topics, rebalanceTimeoutMs = REBALANCE_TIMEOUT_MS, host, clock } = this.#options;
    const memberId = this.#id;
    const sentAtMs = clock.monotonic();
    const isFull = this.#isFull;
    const owned = this.#held.partitions;
    const sent = {
      group,
      memberId,
      memberEpoch: this.#epoch,
      deadlineMs: this.#deadlineMs,
      ...(isFull ? { topics, owned, rebalanceTimeoutMs } : this.#isChanged ? { owned } : {}),
    };
    this.#isKnown = true;
    this.#isFull = true;
    this.#isChanged = false;
    let answer: HeartbeatAnswer;
    try {
      answer = await broker.heartbeat(sent);
    } catch (error) {
      const isExpelled = error instanceof BrokerError && error.code === "fenced";
      if (isExpelled) host.answered?.();
      else host.failed?.(error);
      if (isExpelled && memberId === this.#id) this.#abandon(`expelled: ${messageOf(error)}`);
      return isExpelled;
    }
    host.answered?.();
    // It was abandoned meanwhile.
    if (memberId !== this.#id) return true;
    this.#isFull = false;
    this.#answered(answer, sentAtMs);
    return true;
  }

  #answered({ memberEpoch, heartbeatIntervalMs, assignment }: HeartbeatAnswer, sentAtMs: number): void {
    const { clock } = this.#options;
    this.#epoch = memberEpoch;
    this.#intervalMs = heartbeatIntervalMs;
    this.#answeredAtMs = sentAtMs;
    const leftMs = sentAtMs + this.#sessionMs - clock.monotonic();
    // The process was stopped for long.
    if (leftMs <= 0) return this.#expire();
    this.#expiry?.cancel();
    this.#expiry = clock.after(leftMs, () => void this.#isAlive());
    if (assignment !== undefined) this.#held.wanted = assignment;
    this.#reconcile();
  }

  #reconcile(): void {
    const { host } = this.#options;
    const lessened = this.#held.revoke();
    if (lessened.length > 0) {
      const revocation = host.revoke(lessened.map(({ partition }) => partition)).finally(() => {
        this.#revocations.delete(revocation);
        this.#released(lessened);
      });
      this.#revocations.add(revocation);
    }
    if (this.#isClosing) return;
    const gained = this.#held.gain(this.#epoch);
    if (gained.length === 0) return;
    this.#isChanged = true;
    host.assigned(
      gained.map(({ partition }) => partition),
      this.#tenureOf(gained),
    );
  }

  /** The host has let go: the broker hears of it at once, since others wait. */
  #released(holdings: readonly Holding[]): void {
    if (!this.#held.release(holdings)) return;
    this.#isChanged = true;
    this.#stir();
  }

  #tenureOf(gained: readonly Holding[]): Tenure {
    const memberId = this.#id;
    const memberEpoch = this.#epoch;
    const held = (partition: TopicPartition): Readonly<Holding> | undefined => this.#held.anyOf(partition, gained);
    const isOurs = (partition: TopicPartition): boolean => held(partition) !== undefined && this.#isAlive();
    const mayBegin = (partition: TopicPartition): boolean => held(partition)?.isRevoked === false && isOurs(partition);
    const epochNow = (): number => (this.#id === memberId ? this.#epoch : memberEpoch);
    return { memberId, memberEpoch, epochNow, isOurs, mayBegin };
  }

  /** Whether what is held is ours by our own clock; if not, all is lost. */
  #isAlive(): boolean {
    if (this.#options.clock.monotonic() < this.#answeredAtMs + this.#sessionMs) return true;
    if (this.#held.size > 0) this.#expire();
    return false;
  }

  #expire(): void {
    this.#abandon(`no heartbeat was answered for ${this.#sessionMs} ms`);
  }

  #abandon(reason: string): void {
    const partitions = this.#held.partitions;
    this.#held.clear();
    if (this.#isKnown) this.#former.push(this.#id);
    this.#isKnown = false;
    this.#id = this.#newId();
    this.#epoch = JOINS;
    this.#isFull = true;
    this.#isChanged = false;
    this.#stir();
    if (partitions.length === 0) return;
    const ended = this.#options.host.lost(partitions, reason);
    this.#ending = Promise.all([this.#ending, ...this.#revocations, ended]);
  }

  /** True once all former ids have left; one that is unknown has. */
  async #leave(): Promise<boolean> {
    const { broker, group, host } = this.#options;
    for (let memberId = this.#former[0]; memberId !== undefined; memberId = this.#former[0]) {
      try {
        await broker.heartbeat({ group, memberId, memberEpoch: LEAVES, deadlineMs: this.#deadlineMs });
      } catch (error) {
        if (!(error instanceof BrokerError && error.code === "fenced")) {
          host.failed?.(error);
          return false;
        }
      }
      this.#former.shift();
    }
    return true;
  }

  get #deadlineMs(): number {
    return Math.min(this.#intervalMs, this.#sessionMs / ATTEMPTS_PER_SESSION);
  }

  /** Until it is time, or there is news for the broker. */
  async #pause(ms: number): Promise<void> {
    if (this.#isWoken || this.#isDone) return;
    const { clock, random } = this.#options;
    await new Promise<void>((resume) => {
      const timer = clock.after(ms * (1 - JITTER * random.next()), resume);
      this.#wake = () => {
        timer.cancel();
        resume();
      };
    });
  }

  #stir(): void {
    this.#isWoken = true;
    this.#wake();
  }
}
