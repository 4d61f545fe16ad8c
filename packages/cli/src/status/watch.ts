/**
 * The overview as it changes. On a terminal it is drawn in place; in a pipe there is a paragraph
 * whenever what is wrong has changed; for programs a line of JSON for each overview.
 */
import type { IncomingMessage } from "node:http";
import { messageOf, WaybillError } from "@waybill/core";
import { nodeClock } from "@waybill/node";
import type { Overview } from "@waybill/relay";
import { type AdminOptions, openAdmin, understood } from "../admin-client.ts";
import type { Io } from "../io.ts";
import { dataOf } from "../server-sent.ts";
import { createStatusView, type StatusView } from "./status-view.ts";

export interface WatchOptions extends AdminOptions {
  readonly json?: boolean;
}

/** A relay that is started again is back within seconds. */
const RECONNECT_MS = 1_000;
/** The relay sends a heartbeat every 15 s. */
const SILENT_MS = 40_000;

/**
 * Until Ctrl-C, or until nobody reads. A relay that goes away is waited for. **Errors**: what the
 * relay refuses at first, such as the token.
 */
export async function watchStatus(options: WatchOptions, io: Io): Promise<void> {
  const watch = new Watch(options, io, createStatusView(options, io));
  io.onStop(() => watch.stop());
  io.onGone(() => watch.stop());
  await watch.run();
}

class Watch {
  readonly #options: WatchOptions;
  readonly #io: Io;
  readonly #view: StatusView;
  readonly #stopped = new AbortController();
  #hasSeen = false;

  constructor(options: WatchOptions, io: Io, view: StatusView) {
    this.#options = options;
    this.#io = io;
    this.#view = view;
  }

  stop(): void {
    this.#stopped.abort();
  }

  async run(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      while (!signal.aborted) {
        try {
          await this.#follow();
          this.#view.lost("the relay is stopping");
        } catch (error) {
          if (signal.aborted) return;
          if (!this.#isWorthWaiting(error)) throw error;
          this.#view.lost(messageOf(error));
        }
        await pause(RECONNECT_MS, signal);
      }
    } finally {
      this.#view.end();
    }
  }

  /** One connection, to its end. */
  async #follow(): Promise<void> {
    const connection = new AbortController();
    const end = (): void => connection.abort();
    this.#stopped.signal.addEventListener("abort", end);
    let silence = nodeClock.after(SILENT_MS, end, true);
    try {
      const options = { ...this.#options, signal: connection.signal };
      const response: IncomingMessage = await openAdmin(options, this.#io, "watchOverview", {});
      for await (const message of dataOf(response)) {
        silence.cancel();
        silence = nodeClock.after(SILENT_MS, end, true);
        if (message === undefined) continue;
        understood(this.#options, () => this.#view.show(JSON.parse(message.data) as Overview));
        this.#hasSeen = true;
      }
    } catch (error) {
      if (connection.signal.aborted) throw silent(this.#options);
      throw error;
    } finally {
      silence.cancel();
      this.#stopped.signal.removeEventListener("abort", end);
      end();
    }
  }

  /** At first only that nobody is there; later whatever a restart may bring. */
  #isWorthWaiting(error: unknown): boolean {
    return this.#hasSeen || (error instanceof WaybillError && error.code === "WAYBILL_TRANSPORT");
  }
}

function silent({ admin }: AdminOptions): WaybillError {
  return new WaybillError("WAYBILL_TRANSPORT", `${admin} has sent nothing for ${SILENT_MS / 1_000} s`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = nodeClock.after(ms, done, true);
    function done(): void {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
