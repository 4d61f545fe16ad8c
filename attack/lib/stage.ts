/**
 * What a case works with: relays, vendors, a folder; and what must hold after every case, whatever
 * it was.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Broken, check, cut, until } from "./check.ts";
import { statuses } from "./http.ts";
import { type Refused, Relay, type RelayOptions } from "./relay.ts";
import { type Behaviour, healthy, Vendor } from "./vendor.ts";

/** A relay with its vendors, shared by cases as long as it survives them. */
export interface Rig {
  readonly relay: Relay;
  /** Others before the same cluster. */
  readonly peers?: readonly Relay[];
  /** A healthy destination, of Segment's protocol. */
  readonly good: Vendor;
  /** Behaves as the case tells it. */
  readonly bad: Vendor;
}

export interface Scene {
  readonly name: string;
  open(stage: Stage): Promise<Rig>;
}

export interface Attack {
  /** Names it in results; kebab-case. */
  readonly name: string;
  /** What must hold, in one sentence. */
  readonly holds: string;
  /** Absent: the case starts what it needs. */
  readonly scene?: Scene;
  /** Runs in `npm test` too. */
  readonly quick?: true;
  readonly limitMs?: number;
  run(stage: Stage): Promise<void>;
}

export const KEY = "attack-web-key";
const HEALTHY_MAX_MS = 5_000;
const ANSWER_MAX_MS = 2_000;
const DELIVERED_MAX_MS = 10_000;
const HELD_MAX_BYTES = 1024 * 1024;
export const RSS_MAX_MB = 512;
export const BLOCKED_MAX_MS = 50;

let made = 0;

/**
 * `work`, which must not block the relay's loop for more than 50 ms. A busy machine stops any
 * process for a while: only what blocks twice, without having waited for a processor, is at fault.
 * Each block is in the result all the same.
 */
export async function unblocked<T>(relay: Relay, what: string, work: () => Promise<T>): Promise<T> {
  await relay.lap();
  const first = await work();
  const firstLap = await relay.lap();
  if (firstLap.ms - firstLap.waitedMs <= BLOCKED_MAX_MS) return first;
  const second = await work();
  const secondLap = await relay.lap();
  const [firstMs, secondMs] = [firstLap, secondLap].map(({ ms }) => Math.round(ms));
  const isAtFault = secondLap.ms - secondLap.waitedMs > BLOCKED_MAX_MS;
  check(!isAtFault, `${what} blocked the loop for ${firstMs} ms, and ${secondMs} ms again`);
  return second;
}

/** An id that no other event has. */
export function newId(prefix = "event"): string {
  made += 1;
  return `${prefix}-${process.pid}-${made}`;
}

export function track(messageId: string, more: object = {}): object {
  return { type: "track", event: "Attacked", userId: "u", messageId, ...more };
}

export function basic(key: string): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${key}:`).toString("base64")}` };
}

export class Stage {
  readonly name: string;
  readonly relays: Relay[] = [];
  /** Ids that were answered with 200 in this case: each must reach the good destination. */
  readonly acknowledged: Set<string> = new Set();
  /** Relays that ended at their start although they should have run. */
  failedStarts = 0;
  readonly #vendors: Vendor[] = [];
  readonly #directories: string[] = [];
  readonly #closers: (() => void | Promise<void>)[] = [];
  #rig: Rig | undefined;

  constructor(name: string, rig?: Rig) {
    this.name = name;
    this.#rig = rig;
  }

  useRig(rig: Rig): void {
    this.#rig = rig;
  }

  get rig(): Rig {
    if (this.#rig === undefined) throw new Error(`${this.name} has no scene`);
    return this.#rig;
  }

  get relay(): Relay {
    return this.rig.relay;
  }

  get good(): Vendor {
    return this.rig.good;
  }

  get bad(): Vendor {
    return this.rig.bad;
  }

  /** A folder that is gone after the case. */
  directory(): string {
    const directory = mkdtempSync(join(tmpdir(), "waybill-attack-"));
    this.#directories.push(directory);
    return directory;
  }

  async vendor(behaviour: Behaviour = healthy): Promise<Vendor> {
    const vendor = await Vendor.open(behaviour);
    this.#vendors.push(vendor);
    return vendor;
  }

  /** Called at the end of the case, however it ended. */
  atEnd(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }

  /** Starts a relay that must run. **Errors**: `Broken` when it ends at its start. */
  async launch(options: RelayOptions): Promise<Relay> {
    const relay = await this.tryLaunch(options);
    if (relay instanceof Relay) return relay;
    this.failedStarts += 1;
    throw new Broken(`the relay ended at its start with ${relay.code}: ${cut(relay.text.trim(), 400)}`);
  }

  /** Starts a relay that may refuse to. */
  async tryLaunch(options: RelayOptions): Promise<Relay | Refused> {
    const relay = await Relay.start(options);
    if (relay instanceof Relay) this.relays.push(relay);
    return relay;
  }

  /** Sends events to the relay of the scene; they must be taken. */
  async send(events: readonly object[], relay: Relay = this.relay, key: string = KEY): Promise<void> {
    const { status, text } = await relay.ask({
      path: "/v1/batch",
      headers: basic(key),
      body: JSON.stringify({ batch: events }),
    });
    check(status === 200, `a healthy request was answered ${status}: ${cut(text)}`);
    for (const event of events) this.acknowledged.add((event as { readonly messageId: string }).messageId);
  }

  /**
   * What must hold after every attack on a relay: it lives, answers, delivers, balances, and holds
   * no bytes of the attack.
   */
  async verify(relay: Relay = this.relay, good: Vendor = this.good): Promise<void> {
    check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
    await this.#answers(relay);
    const id = newId("after");
    await this.#acceptsEvents(relay, id);
    await until(() => good.ids.has(id), DELIVERED_MAX_MS, "a healthy event after the attack was not delivered");
    const missing = (): string[] => [...this.acknowledged].filter((one) => !good.ids.has(one));
    await until(
      () => missing().length === 0,
      DELIVERED_MAX_MS,
      () => `${missing().length} acknowledged events were not delivered, such as ${cut(missing()[0] ?? "", 60)}`,
    );
    const unbalanced = (await relay.accounts()).lanes.filter(({ account }) => !account.balanced);
    check(
      unbalanced.length === 0,
      `the ledger of ${unbalanced.map(({ destination }) => destination).join(", ")} does not balance`,
    );
    const failed = (await relay.accounts()).lanes.filter(({ mode }) => String(mode) === "failed");
    check(
      failed.length === 0,
      `a defect stopped the lane ${failed.map(({ destination, reason }) => `${destination}: ${cut(String(reason))}`).join(", ")}`,
    );
    await until(
      async () => (await relay.metric("waybill_intake_held_bytes")) <= HELD_MAX_BYTES,
      HEALTHY_MAX_MS,
      "bytes of request bodies are still held after the attack",
    );
    check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
    check(relay.peakRssMb < RSS_MAX_MB, `resident memory rose to ${relay.peakRssMb} MB`);
  }

  async #answers(relay: Relay): Promise<void> {
    const answer = await relay.ask({ method: "GET", path: "/health", timeoutMs: HEALTHY_MAX_MS });
    check(answer.status === 200, `/health answered ${answer.status}`);
  }

  async #acceptsEvents(relay: Relay, id: string): Promise<void> {
    const seen = new Map<number, number>();
    const body = JSON.stringify({ batch: [track(id)] });
    const accepted = async (): Promise<boolean> => {
      const asked = { path: "/v1/batch", headers: basic(KEY), body, timeoutMs: ANSWER_MAX_MS };
      const { status } = await relay.ask(asked);
      seen.set(status, (seen.get(status) ?? 0) + 1);
      return status === 200;
    };
    await until(accepted, HEALTHY_MAX_MS, () => `a healthy request after the attack was answered ${statuses(seen)}`);
  }

  /** Ends what the case started. What it shared goes on. */
  async end(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    for (const relay of this.relays) await relay.kill();
    for (const vendor of this.#vendors) await vendor.close();
    for (const directory of this.#directories) rmSync(directory, { recursive: true, force: true });
  }
}
