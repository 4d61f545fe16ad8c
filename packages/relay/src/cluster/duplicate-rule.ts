/** By which ids the log on Kafka finds duplicates: alike at every relay, so without a secret. */
import { createHash } from "node:crypto";
import type { DuplicateRule, NumberedIds } from "@waybill/log-kafka";
import { type EventId, vendorOf } from "@waybill/vendors";
import { adapterOf, type VendorAdapter } from "@waybill/vendors/registry";
import type { RelayConfig } from "../config/types.ts";
import { HASH_WORDS, type IdHashes, IdWindow } from "../intake/id-window.ts";
import { scopeOf } from "../intake/scope.ts";
import { batchScanner, idHasher } from "../intake/segment/batch-scanner.ts";
import { isSegment } from "../intake/segment/segment-intake.ts";

export function duplicateRule(environment: string, { windowMs, maxIds }: RelayConfig["dedupe"]): DuplicateRule {
  const digest = createHash("sha256").update(`ids of ${environment}`).digest();
  const seed = Uint32Array.from({ length: HASH_WORDS }, (_, word) => digest.readUInt32LE(4 * word));
  // For its hash alone.
  const window = new IdWindow({ windowMs, maxIds: 2, seed, nowMs: 0 });
  const scoped = new Uint32Array(HASH_WORDS);
  const scopes = new Map<string, number>();
  const scopeOfSource = (source: string): number => {
    const scope = scopes.get(source) ?? scopeOf(environment, source);
    scopes.set(source, scope);
    return scope;
  };
  // For one record after another: a new array for each costs as much as its hashes.
  let words = new Uint32Array(0);
  return {
    windowMs,
    maxIds,
    idsOf({ source, metadata, body, count, numbered }) {
      const scope = scopeOfSource(source);
      const adapter = adapterOf(vendorOf(metadata));
      if (numbered === undefined && adapter !== undefined && isSegment({ adapter })) {
        scoped.set(seed);
        scoped[0] = (seed[0] as number) ^ scope;
        const hashed = idHasher()(body, count, scoped);
        if (hashed !== undefined) return hashed;
      }
      const used = HASH_WORDS * count;
      if (words.length < used) words = new Uint32Array(2 * used);
      words.fill(0, 0, used);
      const hashes: IdHashes = { scope, words };
      const ids = numbered === undefined ? idsIn(adapter, body) : numberedIds(numbered, count);
      for (let index = 0; index < Math.min(ids.length, count); index++) {
        const id = ids[index] as EventId;
        if (id.idStart >= 0) window.hash(id.bytes ?? body, id, hashes, index);
      }
      return words;
    },
  };
}

function numberedIds({ prefix, first }: NumberedIds, count: number): readonly EventId[] {
  return Array.from({ length: count }, (_, index) => {
    const bytes = Buffer.from(`${prefix} ${first + index}`);
    return { bytes, idStart: 0, idEnd: bytes.length };
  });
}

/** What cannot be read has no ids. */
function idsIn(adapter: VendorAdapter | undefined, body: Uint8Array): readonly EventId[] {
  try {
    return adapter?.eventIds?.(body, batchScanner()) ?? [];
  } catch {
    return [];
  }
}
