import type { Reader } from "@platformatic/kafka";
import type { Clock } from "@waybill/core";
import { BrokerError } from "../broker.ts";
import { failureFrom } from "./failures.ts";
import type { Library } from "./library.ts";
import { type Call, type Supported, supportedCall, type Versions } from "./requests.ts";
import { type KafkaSasl, saslOptionsOf } from "./sasl.ts";
import type { Within } from "./within.ts";

/** TLS to the brokers; what is left out is Node's default. PEM. */
export interface KafkaTls {
  /** Who signs the brokers' certificates. */
  readonly ca?: string;
  /** A certificate that this relay shows, and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** The name in the brokers' certificates. Default the host of each address. */
  readonly servername?: string;
}

/** What all connections of a client have in common. */
export interface LinkSetting {
  readonly library: Library;
  readonly clock: Clock;
  readonly clientId: string;
  /** Called for each connection. */
  readonly tls: (() => KafkaTls) | undefined;
  readonly sasl: KafkaSasl | undefined;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** So many wait on one connection for the broker, which answers one after another. */
const MAX_IN_FLIGHT = 10_000;
const METADATA_VERSION = "metadata.version";
const NO_VERSION: Versions = [0, -1];

/**
 * One connection. It is made at once, and never again: after a fault, or a call that took too long,
 * it is gone with all calls on it, so that nothing waits for a broker that hangs.
 */
export class Link {
  readonly #setting: LinkSetting;
  readonly #connection: InstanceType<Library["Connection"]>;
  readonly #waiting = new Set<(error: BrokerError) => void>();
  readonly #opened: Promise<void>;
  readonly #at: string;
  #supported: Supported = { apis: new Map(), features: new Map() };
  #broken: BrokerError | undefined;

  constructor(setting: LinkSetting, address: Address) {
    this.#setting = setting;
    const { library, clientId, tls, sasl } = setting;
    this.#connection = new library.Connection(clientId, {
      // Each call has its own.
      connectTimeout: 0,
      maxInflights: MAX_IN_FLIGHT,
      ...(tls !== undefined && { tls: tls() }),
      ...(sasl !== undefined && { sasl: saslOptionsOf(library, sasl) }),
    });
    this.#at = `${address.host}:${address.port}`;
    this.#connection.on("error", (error: unknown) => this.#break(failureFrom(error, this.#at)));
    this.#connection.on("close", () => this.#break(new BrokerError("unreachable", `${this.#at}: connection closed`)));
    this.#opened = this.#open(address);
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** Calls that wait for an answer. */
  get inFlight(): number {
    return this.#waiting.size;
  }

  /** **Errors**: `timeout`, and then the connection is gone; those of the answer. */
  call<R>(call: Call<R>, within: Within): Promise<R> {
    return new Promise((resolve, reject) => {
      const settle = (error: BrokerError | undefined, answer?: R): void => {
        if (!this.#waiting.delete(fail)) return;
        forget();
        if (error === undefined) resolve(answer as R);
        else reject(error);
      };
      const fail = (error: BrokerError): void => settle(error);
      const forget = within.atEnd(() => {
        fail(within.late());
        this.#break(new BrokerError("unreachable", `${within.what}: another call was not answered in time`));
      });
      this.#waiting.add(fail);
      if (this.#broken !== undefined) fail(this.#broken);
      else void this.#opened.then(() => this.#send(call, within, settle));
    });
  }

  close(): void {
    this.#break(new BrokerError("unreachable", "the client was closed"));
  }

  #send<R>(call: Call<R>, within: Within, settle: (error: BrokerError | undefined, answer?: R) => void): void {
    // It has failed already.
    if (this.#broken !== undefined) return;
    const lacking = this.#lackingFor(call);
    if (lacking !== undefined) return settle(new BrokerError("unsupported", `${within.what} needs ${lacking}`));
    this.#request(call, true, (error, answer) =>
      settle(error === null ? undefined : failureFrom(error, within.what), answer),
    );
  }

  /** What a call needs that the broker does not have. */
  #lackingFor({ key, version, metadataVersion }: Call<unknown>): string | undefined {
    const { apis, features } = this.#supported;
    const [lowest, highest] = apis.get(key) ?? NO_VERSION;
    if (version < lowest || version > highest)
      return `version ${version} of Kafka's API ${key}${this.#has(highest < 0 ? "none" : `${lowest} to ${highest}`)}`;
    if (metadataVersion === undefined) return undefined;
    const { level, release } = metadataVersion;
    const [, known] = features.get(METADATA_VERSION) ?? NO_VERSION;
    if (known >= level) return undefined;
    return `${METADATA_VERSION} ${level} (Kafka ${release})${this.#has(known < 0 ? "none" : `${known} at most`)}`;
  }

  #has(what: string): string {
    return `, the broker at ${this.#at} has ${what}`;
  }

  /** Never rejects: who waits learns it from the break. */
  async #open(address: Address): Promise<void> {
    try {
      await this.#connect(address);
      this.#supported = await new Promise((resolve, reject) => {
        this.#request(supportedCall(this.#setting.library), false, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        );
      });
    } catch (error) {
      this.#break(failureFrom(error, this.#at));
    }
  }

  #connect({ host, port }: Address): void | Promise<void> {
    try {
      return this.#connection.connect(host, port);
    } catch (error) {
      // Nothing was tried: a key or a certificate is not one.
      throw new BrokerError("invalid", `${this.#at}: ${(error as Error).message}`);
    }
  }

  /** `hasTags`: in the header of the answer. */
  #request<R>(call: Call<R>, hasTags: boolean, done: (error: Error | null, answer: R) => void): void {
    const parse = (_id: number, _key: number, _version: number, reader: Reader): R => call.read(reader);
    this.#connection.send(call.key, call.version, call.write, parse, true, hasTags, done);
  }

  #break(error: BrokerError): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    // The first ends its timers, the second what hangs.
    void this.#connection.close();
    this.#connection.socket?.destroy();
    for (const fail of this.#waiting) fail(error);
  }
}
