import type { Log, LogStore } from "@waybill/log";
import { expect } from "vitest";

/** Asks for the fate of every event there ever was, one by one: together they are the ledger. */
export async function expectFatesToBeTheLedger(log: Log, store: LogStore, when = ""): Promise<void> {
  const counts = { delivered: 0, rejected: 0, expired: 0, dropped: 0, pending: 0, unknown: 0, not_addressed: 0 };
  for (let position = 0; position < log.head; position++) counts[(await store.fateAt(position)).status] += 1;
  const { delivered, rejected, expired, droppedTotal, pending } = store.account();
  const ledger = { delivered, rejected, expired, dropped: droppedTotal, pending };
  expect(counts, when).toEqual({ ...ledger, unknown: 0, not_addressed: store.base });
  expect(store.unknownFates, when).toBe(0);
}
