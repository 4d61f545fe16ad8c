/** A log as a relay of some hours leaves it, made without the hours. */
import { type Clock, createUuidV7 } from "@waybill/core";
import { openLog } from "@waybill/log";
import { nodeDisk, nodeRandom } from "@waybill/node";

const EVENTS_PER_RECORD = 100;
/** The time that passes between two requests. */
const STEP_MS = 100;
const IN_FLIGHT = 64;

export interface PreparedLog {
  readonly events: number;
  readonly bytes: number;
  /** The id of the event at each thousandth position. */
  readonly ids: readonly string[];
}

export interface Backlog {
  readonly events: number;
  /** The event at each position, as text. */
  readonly event: (position: number) => string;
  readonly metadata: string;
  /** Events that came with one request. */
  readonly perRequest: number;
}

/** Writes a backlog of the source `load` to the log in `directory`. */
export async function prepareBacklog(directory: string, backlog: Backlog): Promise<void> {
  const { events, event, metadata, perRequest } = backlog;
  const log = await openPreparedLog(directory, Math.ceil(events / perRequest));
  for (let at = 0; at < events; at += perRequest) {
    const count = Math.min(perRequest, events - at);
    log.pass();
    await log.append(
      Array.from({ length: count }, (_, index) => event(at + index)),
      metadata,
    );
  }
  await log.close();
}

/**
 * Writes `events` of about 300 bytes with UUIDv7 ids to the log in `directory`; the one at
 * `foreign.at` has the id `foreign.id`.
 */
export async function prepareLog(
  directory: string,
  events: number,
  foreign?: { readonly at: number; readonly id: string },
): Promise<PreparedLog> {
  const log = await openPreparedLog(directory, Math.ceil(events / EVENTS_PER_RECORD));
  const makeId = createUuidV7(log.clock, nodeRandom);
  const ids: string[] = [];
  const note = "x".repeat(128);
  for (let at = 0; at < events; at += EVENTS_PER_RECORD) {
    const count = Math.min(EVENTS_PER_RECORD, events - at);
    log.pass();
    const texts = Array.from({ length: count }, (_, index) => {
      const id = foreign?.at === at + index ? foreign.id : makeId();
      if ((at + index) % 1_000 === 0) ids.push(id);
      return `{"type":"track","messageId":"${id}","timestamp":"2026-11-21T00:00:00.000Z","userId":"user-000001","event":"Order Completed","properties":{"total":42,"currency":"EUR","note":"${note}"}}`;
    });
    await log.append(texts, "");
  }
  const bytes = await log.close();
  return { events, bytes, ids };
}

interface OpenPreparedLog {
  /** Its own: as many steps before now as there will be records. */
  readonly clock: Clock;
  /** A step of time passes. */
  pass(): void;
  /** A record with these events. Not all of it is durable before `close`. */
  append(texts: readonly string[], metadata: string): Promise<void>;
  /** Returns the bytes of the log. */
  close(): Promise<number>;
}

async function openPreparedLog(directory: string, records: number): Promise<OpenPreparedLog> {
  let nowMs = Date.now() - records * STEP_MS;
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, after: () => ({ cancel: () => undefined }) };
  const log = await openLog({ directory }, { disk: nodeDisk, clock });
  let waiting: Promise<unknown>[] = [];
  return {
    clock,
    pass() {
      nowMs += STEP_MS;
    },
    async append(texts, metadata) {
      let end = -1;
      // A byte for each character: all of it is ASCII.
      const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
      const body = [Buffer.from(texts.join(","))];
      waiting.push(log.append({ source: "load", receivedAtMs: nowMs, metadata, body, ends }));
      if (waiting.length < IN_FLIGHT) return;
      await Promise.all(waiting);
      waiting = [];
    },
    async close() {
      await Promise.all(waiting);
      const bytes = log.headByte;
      await log.close();
      return bytes;
    },
  };
}
