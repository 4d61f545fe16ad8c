/** A log as a relay of some hours leaves it, made without the hours. */
import { type Clock, createUuidV7 } from "@waybill/core";
import { openLog } from "@waybill/log";
import { nodeDisk, nodeRandom } from "@waybill/node";

const EVENTS_PER_RECORD = 100;
/** The time that passes between two requests. */
const STEP_MS = 100;
const IN_FLIGHT = 16;

export interface PreparedLog {
  readonly events: number;
  readonly bytes: number;
  /** The id of the event at each thousandth position. */
  readonly ids: readonly string[];
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
  const records = Math.ceil(events / EVENTS_PER_RECORD);
  let nowMs = Date.now() - records * STEP_MS;
  const clock: Clock = { now: () => nowMs, monotonic: () => nowMs, after: () => ({ cancel: () => undefined }) };
  const makeId = createUuidV7(clock, nodeRandom);
  const log = await openLog({ directory }, { disk: nodeDisk, clock });
  const ids: string[] = [];
  let waiting: Promise<unknown>[] = [];
  const note = "x".repeat(128);
  for (let at = 0; at < events; at += EVENTS_PER_RECORD) {
    nowMs += STEP_MS;
    let end = -1;
    const count = Math.min(EVENTS_PER_RECORD, events - at);
    const texts = Array.from({ length: count }, (_, index) => {
      const id = foreign?.at === at + index ? foreign.id : makeId();
      if ((at + index) % 1_000 === 0) ids.push(id);
      return `{"type":"track","messageId":"${id}","timestamp":"2026-11-21T00:00:00.000Z","userId":"user-000001","event":"Order Completed","properties":{"total":42,"currency":"EUR","note":"${note}"}}`;
    });
    const ends = Uint32Array.from(texts, (text) => (end += 1 + text.length));
    waiting.push(
      log.append({ source: "load", receivedAtMs: nowMs, metadata: "", body: [Buffer.from(texts.join(","))], ends }),
    );
    if (waiting.length === IN_FLIGHT) {
      await Promise.all(waiting);
      waiting = [];
    }
  }
  await Promise.all(waiting);
  const bytes = log.headByte;
  await log.close();
  return { events, bytes, ids };
}
