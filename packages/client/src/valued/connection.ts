import { type HttpResponse, type Protocol, TextBatch, WaybillError } from "@waybill/core";
import { VALUED_ENDPOINT, valuedProtocol } from "@waybill/vendors";
import type { VendorHost } from "../options.ts";
import { Deliverer, spreadBackoff } from "../vendor-kit/deliverer.ts";
import { VERSION } from "../version.ts";
import type { PlainObject } from "./data.ts";
import { checkAddress, resolveConnectionOptions } from "./options.ts";
import type { ConnectionOptions } from "./types.ts";

/** Protocol section 7, proposed. */
const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 60_000;
const BACKOFF_SPREAD = 0.25;

/** On any host; `Connection` of the entry point brings the host along. */
export class ConnectionOn {
  readonly #token: string;
  readonly endpoint: string;
  readonly #deliverer: Deliverer;
  readonly #protocol: Protocol;
  #last: HttpResponse | undefined;

  constructor(
    host: VendorHost,
    token: string,
    endpoint: string | URL = VALUED_ENDPOINT,
    options: ConnectionOptions = {},
  ) {
    this.endpoint = String(endpoint);
    checkAddress(token, this.endpoint);
    const { maxAttempts, timeoutMs, transport } = resolveConnectionOptions(options);
    this.#token = token;
    this.#protocol = valuedProtocol({ endpoint: this.endpoint, token, platform: host.platform, version: VERSION });
    this.#deliverer = new Deliverer({
      host,
      protocol: this.#protocol,
      timeoutMs,
      maxAttempts,
      backoff: spreadBackoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, BACKOFF_SPREAD),
      transport,
    });
  }

  get token(): string {
    return this.#token;
  }

  /** Lower-case names. */
  get headers(): Readonly<Record<string, string>> {
    const empty = new TextBatch({ key: "", metadata: "", oldestAtMs: 0, texts: [], sizes: [] });
    return this.#protocol.request(empty, 0).headers;
  }

  /** The last answer. */
  get lastResponse(): HttpResponse | undefined {
    return this.#last;
  }

  /** `signal` ends its attempts. **Errors**: rejects when the event was not taken. */
  async call(event: PlainObject, signal?: AbortSignal): Promise<void> {
    const interrupt = signal === undefined ? {} : { soon: signal, now: signal };
    const { outcomes, last } = await this.#deliverer.sendOne(JSON.stringify(event), { key: "", ...interrupt });
    this.#last = last?.response;
    const outcome = outcomes[0];
    if (outcome !== undefined && outcome.status !== "delivered")
      throw new WaybillError("WAYBILL_TRANSPORT", `Valued did not take the event: ${outcome.reason}`, {
        retryable: outcome.status === "retryable",
      });
  }

  /** Hides the token. */
  toJSON(): object {
    return { endpoint: this.endpoint };
  }

  toString(): string {
    return `Connection(${this.endpoint})`;
  }
}
