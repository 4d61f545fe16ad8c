/** Strands, parked users, what is in flight, and what of it is known after a crash. */
import type { Mutant } from "./mutant.ts";

const LANES = "packages/log/src/lanes";
const LOG_TESTS = "packages/log/test/lanes";
const CORE = "packages/core/src";
const CORE_TESTS = "packages/core/test";
const ORDER = "packages/vendors/src/order";
const ORDER_TESTS = "packages/vendors/test/order";
const CRASH_POINTS = ["simulation/crash-points/strand-points.test.ts"];
const MODEL = [`${LOG_TESTS}/strands.model.test.ts`];
const TIES = [`${LOG_TESTS}/ties.test.ts`];

export const STRANDS: readonly Mutant[] = [
  {
    name: "strands: what is left of a planned batch is planned durably again",
    file: `${LANES}/strands.ts`,
    find: "    strand.isPlanDurable = false;",
    replace: "    strand.isPlanDurable = true;",
    tests: CRASH_POINTS,
  },
  {
    name: "strands: a planned batch is read whole, however small batches are by now",
    file: `${LANES}/backlog.ts`,
    find: "const isLarge = count >= strand.planned && (",
    replace: "const isLarge = (",
    tests: CRASH_POINTS,
  },
  {
    name: "strands: an event that is known to be settled is not queued again",
    file: `${LANES}/backlog.ts`,
    find: "this.#options.isSettled(position)) {",
    replace: "this.#options.isSettled(-1 - position)) {",
    tests: [`${LOG_TESTS}/expired.test.ts`],
  },
  {
    name: "strands: what is settled between parked events is known at the next start",
    file: `${LANES}/fates.ts`,
    find: "return this.#ahead.has(position) || this.#settled.has(position);",
    replace: "return this.#ahead.has(position);",
    tests: MODEL,
  },
  {
    name: "strands: what is delivered after a parked event of its user is written down",
    file: `${LANES}/settlements.ts`,
    find: "else if (parked.size > 0 && parked.has(",
    replace: "else if (parked.size < 0 && parked.has(",
    tests: MODEL,
  },
  {
    name: "strands: what retention took is not counted as damaged",
    file: `${LANES}/settlements.ts`,
    find: "Math.min(events, this.#backlog.damagedUnread)",
    replace: "Math.max(events, this.#backlog.damagedUnread)",
    tests: MODEL,
  },
  {
    name: "strands: what is gone and uncertain is not taken for expired",
    file: `${LANES}/fates.ts`,
    find: "const otherwise = events === undefined ? LOST : EXPIRED;",
    replace: "const otherwise = events === -1 ? LOST : EXPIRED;",
    tests: MODEL,
  },
  {
    name: "strands: a planned batch is read whole without room",
    file: `${LANES}/backlog.ts`,
    find: "(isCut || this.#readAhead.hasRoom)",
    replace: "this.#readAhead.hasRoom",
    tests: [`${LOG_TESTS}/lost-plan.test.ts`],
  },
  {
    name: "strands: an event that ties an id waits for the strand of that id",
    file: `${LANES}/waiting.ts`,
    find: "if (strand !== own && this.hasBefore(position, this.#of.strands.unsettled(strand), tie)) return true;",
    replace:
      "if (strand !== own && this.hasBefore(0 * position, this.#of.strands.unsettled(strand), tie)) return true;",
    tests: MODEL,
  },
  {
    name: "ties: an event waits only where one of the other id is in front of it",
    file: `${LANES}/waiting.ts`,
    find: "if (this.#of.order.hashAt(record, at) === hash) return true;",
    replace: "if (this.#of.order.hashAt(record, at) === hash || position > 0) return true;",
    tests: TIES,
  },
  {
    name: "ties: many of them in a strand keep it whole",
    file: `${LANES}/waiting.ts`,
    find: "return waits * WAITS_EVERY_MIN > events;",
    replace: "return waits * WAITS_EVERY_MIN > Number.POSITIVE_INFINITY * events;",
    tests: TIES,
  },
  {
    name: "ties: one that waits leaves its batch to the others",
    file: `${LANES}/backlog.ts`,
    find: "if (free > 0 && (strand.planned > 0 ||",
    replace: "if (free > 0 && (strand.planned >= 0 ||",
    tests: TIES,
  },
  {
    name: "ties: an event of the same batch is not overtaken",
    file: `${LANES}/backlog.ts`,
    find: "this.waiting.hasBefore(record.first + at, strand.queue, hash))) return false;",
    replace: "this.waiting.hasBefore(0 * at, strand.queue, hash))) return false;",
    tests: TIES,
  },
  {
    name: "ties: where more users wait than may, strands become one",
    file: `${LANES}/backlog.ts`,
    find: "this.#joining = this.#tooTied;",
    replace: "this.#joining = this.#tooTied = false;",
    tests: TIES,
  },
  {
    name: "ties: a user who fails keeps nothing from being read",
    file: `${LANES}/backlog.ts`,
    find: "isFull && this.parked.onlyWait && this.#areReread;",
    replace: "isFull && this.#areReread;",
    tests: TIES,
  },
  {
    name: "strands: a planned batch whose events retention took is forgotten",
    file: `${LANES}/strands.ts`,
    find: "strand.queue.length === 0 && strand.from < first) strand.planned = 0;\n      if ((firstOf",
    replace: "strand.queue.length === 0 && strand.from < 0) strand.planned = 0;\n      if ((firstOf",
    tests: [`${LOG_TESTS}/expired.test.ts`],
  },
  {
    name: "strands: what is delivered while retention removes it is written down",
    file: `${LANES}/settlements.ts`,
    find: "if (position < this.#removing) this.#fates?.writeDelivered(position);",
    replace: "if (position < 0) this.#fates?.writeDelivered(position);",
    tests: CRASH_POINTS,
  },
  {
    name: "strands: retention waits until a state that knows of it is durable",
    file: `${LANES}/log-store.ts`,
    find: "if (first <= synced.position ||",
    replace: "if (first <= this.neededFrom ||",
    tests: [`${LOG_TESTS}/expired.test.ts`],
  },
  {
    name: "strands: the runs of fates in a state are those of its ledger",
    file: `${LANES}/fates.ts`,
    find: "runs: [...list],",
    replace: "runs: list,",
    tests: CRASH_POINTS,
  },
  {
    name: "strands: a block of fates that is newer than the state is not believed",
    file: `${LANES}/fates.ts`,
    find: "const isNewer = record.first >= blocksTo;",
    replace: "const isNewer = record.first >= blocksTo + this.#blocks.log.head;",
    tests: CRASH_POINTS,
  },
  {
    name: "strands: the state is written after the fates that it speaks of",
    file: `${LANES}/state-writer.ts`,
    find: "while (fates?.isLong === true) await fates.flush();",
    replace: "if (fates?.isLong === true) void fates.flush();",
    tests: CRASH_POINTS,
  },
  {
    name: "strands: attempts of events far ahead stay with their events",
    file: `${LANES}/attempts.ts`,
    find: "if ((end ?? next.position) <= from)",
    replace: "if (next.position + 0 * (end ?? 0) <= from)",
    tests: [`${LOG_TESTS}/inspection.test.ts`],
  },
  {
    name: "parked: that an event goes alone is durable where duplicates are known by batches",
    file: `${LANES}/retries.ts`,
    find: "const planning = delivery().durableLease;",
    replace: "const planning = false;",
    tests: CRASH_POINTS,
  },
  {
    name: "parked: a user is forgotten only when its strand has passed what it had settled",
    file: `${LANES}/parked.ts`,
    find: "events.length === 0 && firstOf(hash) >= first) this",
    replace: "events.length === 0 && firstOf(hash) >= 0 * first) this",
    tests: MODEL,
  },
  {
    name: "isolate: a rate limit is nobody's fault",
    file: `${CORE}/senders/isolate.ts`,
    find: "if (this.#status === TOO_MANY_REQUESTS || failed.retryAfterMs !== undefined) return undefined;",
    replace: "if (this.#status === TOO_MANY_REQUESTS + 1000) return undefined;",
    tests: [`${CORE_TESTS}/isolate-unanswered.test.ts`],
  },
  {
    name: "persist: what has failed is sent again after the wait",
    file: `${CORE}/senders/persist.ts`,
    find: "if (!(await wait(soonMs, failed.reason, runtime, context))) return",
    replace: "if (await wait(soonMs, failed.reason, runtime, context)) return",
    tests: [`${CORE_TESTS}/isolate-unanswered.test.ts`],
  },
  {
    name: "too old: events that lie between older ones are sent by themselves",
    file: `${CORE}/senders/too-old.ts`,
    find: "for (let index = end; index < batch.count; index++) if (!isTooOld(index)) return SEVERAL;",
    replace: "for (let index = end; index < 0; index++) if (!isTooOld(index)) return SEVERAL;",
    tests: ["packages/relay/test/delivery/max-age.test.ts"],
  },
  {
    name: "too old: events of which nobody knows the age are sent",
    file: `${CORE}/senders/too-old.ts`,
    find: "return known ?? Number.POSITIVE_INFINITY;",
    replace: "return known ?? Number.NEGATIVE_INFINITY;",
    tests: ["packages/relay/test/delivery/max-age.test.ts"],
  },
  {
    name: "limiter: a wait of more than an hour is not believed",
    file: `${CORE}/limiter.ts`,
    find: "this.#clock.monotonic() + Math.min(waitMs, RETRY_AFTER_MAX_MS);",
    replace: "this.#clock.monotonic() + Math.max(waitMs, RETRY_AFTER_MAX_MS);",
    tests: [`${CORE_TESTS}/limiter.test.ts`],
  },
  {
    name: "limiter: the window begins anew after a minute without requests",
    file: `${CORE}/limiter.ts`,
    find: "if (idleMs >= IDLE_WINDOW_MS) this.#restart(WINDOW_AT_START);",
    replace: "if (idleMs < 0 * IDLE_WINDOW_MS) this.#restart(WINDOW_AT_START);",
    tests: [`${CORE_TESTS}/limiter.test.ts`],
  },
  {
    name: "limiter: an interrupted wait for a permit ends",
    file: `${CORE}/limiter.ts`,
    find: "if (this.#informed.delete(soon)) watch.resumed();",
    replace: "if (!this.#informed.delete(soon)) watch.resumed();",
    tests: [`${CORE_TESTS}/limiter.test.ts`],
  },
  {
    name: "order hash: the number of nobody is not an id's",
    file: `${ORDER}/order-hash.ts`,
    find: ">>> 0 || INSTEAD_OF_ZERO;",
    replace: ">>> 0 || 0 * INSTEAD_OF_ZERO;",
    tests: [`${ORDER_TESTS}/order-hash.test.ts`],
  },
  {
    name: "order hash: the states on disk have the same for ever",
    file: `${ORDER}/order-hash.ts`,
    find: "const FNV_PRIME = 0x01000193;",
    replace: "const FNV_PRIME = 0x01000195;",
    tests: [`${ORDER_TESTS}/order-hash.test.ts`],
  },
  {
    name: "order hash: an event that ties ids is whose the tie says",
    file: `${ORDER}/order-hashes.ts`,
    find: "const hash = reader.hash(tie?.key ?? table.key, 0);",
    replace: "const hash = reader.hash(table.key ?? tie?.key, 0);",
    tests: [`${ORDER_TESTS}/order.test.ts`],
  },
];
