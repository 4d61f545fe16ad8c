/** The tails of all other relays of a cluster, as they come. */
import { type Clock, messageOf, sleep } from "@waybill/core";
import type { RelayEntry } from "../../cluster/relay-directory.ts";
import { interruptedText, LISTENING, LOOK_MS } from "../streams.ts";
import { SILENT_MAX_MS } from "./pass-stream.ts";
import { notSilent, wholeMessages } from "./peer-chunks.ts";
import { ASKED_MAX, faultText, type Peers } from "./peers.ts";

export interface PeerTailsOptions {
  readonly clock: Clock;
  readonly peers: Peers;
  /** With its query. */
  readonly path: string;
  /** Gets whole messages, and resolves when the reader has taken them; to false when it is gone. */
  readonly emit: (messages: string | Buffer) => Promise<boolean>;
  readonly signal: AbortSignal;
}

/** Before a relay is tried again. */
const RETRY_MS = 5_000;

export class PeerTails {
  readonly #options: PeerTailsOptions;
  /** Ids of relays whose tail is open, or is waited for. */
  readonly #open = new Map<string, Promise<void>>();
  /** Why a relay was named last, by its id. */
  readonly #named = new Map<string, string>();

  constructor(options: PeerTailsOptions) {
    this.#options = options;
  }

  /** Resolves when each relay that is known now shows what comes, or was named. */
  async begin(): Promise<void> {
    await Promise.all(this.#openAll());
  }

  /** Runs until the signal aborts. Relays that come later are followed too. */
  async run(): Promise<void> {
    const { clock, signal } = this.#options;
    while (await sleep(clock, LOOK_MS, signal)) void this.#openAll();
    await Promise.all(this.#open.values());
  }

  /** Each resolves when it is listening. */
  #openAll(): readonly Promise<void>[] {
    return this.#options.peers.relays().flatMap((relay) => {
      if (relay.isSelf || this.#open.has(relay.id) || this.#open.size >= ASKED_MAX) return [];
      return [new Promise<void>((listening) => this.#open.set(relay.id, this.#follow(relay, listening)))];
    });
  }

  async #follow(relay: RelayEntry, listening: () => void): Promise<void> {
    const { clock, signal, emit } = this.#options;
    const fault = relay.isMissing ? faultText({ relay, fault: "is missing" }) : await this.#pass(relay, listening);
    if (!signal.aborted && this.#named.get(relay.id) !== fault) {
      this.#named.set(relay.id, fault);
      await emit(interruptedText(`The relay ${fault}: what it has is not shown until it answers.`));
    }
    listening();
    await sleep(clock, RETRY_MS, signal);
    this.#open.delete(relay.id);
  }

  /** Why it came to an end. */
  async #pass(relay: RelayEntry, listening: () => void): Promise<string> {
    const { clock, peers, path, signal, emit } = this.#options;
    const ended = new AbortController();
    try {
      const opened = await peers.open(relay, path, AbortSignal.any([signal, ended.signal]));
      if ("fault" in opened) return faultText(opened);
      const { status, chunks } = opened.stream;
      if (status !== 200) return faultText({ relay, fault: `answers with ${status}` });
      for await (const messages of wholeMessages(notSilent(chunks, clock, SILENT_MAX_MS))) {
        const isFirst = messages.toString("latin1", 0, LISTENING.length) === LISTENING;
        this.#named.delete(relay.id);
        listening();
        if (!(await emit(isFirst ? messages.subarray(LISTENING.length) : messages))) break;
      }
      return faultText({ relay, fault: "has ended its tail" });
    } catch (error) {
      return faultText({ relay, fault: messageOf(error) });
    } finally {
      ended.abort();
    }
  }
}
