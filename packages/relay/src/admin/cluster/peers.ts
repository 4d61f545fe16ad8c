/** Requests of the admin API from this relay to the others of its cluster. */
import {
  type Clock,
  type HttpRequest,
  type HttpResponse,
  messageOf,
  printable,
  type Random,
  type Transport,
} from "@waybill/core";
import type { HttpStream, OpenHttpStream } from "@waybill/node";
import type { RelayDirectory, RelayEntry } from "../../cluster/relay-directory.ts";
import { RELAY_HEADER, signatureOf } from "./relay-signature.ts";

export interface PeersOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** Default: no stream of another relay can be opened. */
  readonly openStream?: OpenHttpStream;
  /** The admin token of now. Absent: there is none, and all relays listen on loopback alone. */
  readonly token: () => string | undefined;
  readonly directory: Pick<RelayDirectory, "relays" | "selfId">;
  /** Of each environment. */
  readonly partitions: number;
}

export interface PeerRequest {
  readonly method: HttpRequest["method"];
  /** With its query. */
  readonly path: string;
  /** JSON; empty: none. */
  readonly body: string;
  readonly deadlineMs: number;
  /**
   * It may take the relay long: one that does not answer meanwhile whether it is there is given up
   * after 5 s. Default: false.
   */
  readonly isLong?: boolean;
}

/** What another relay answered, or why there is no answer. */
export type PeerAnswer = { readonly relay: RelayEntry; readonly response: HttpResponse } | Unanswered;

export interface Unanswered {
  readonly relay: RelayEntry;
  /** The rest of a sentence that begins with the relay's name. */
  readonly fault: string;
}

/** What another relay begins to answer, or why it does not. */
export type PeerStream =
  | { readonly relay: RelayEntry; readonly stream: HttpStream }
  | { readonly relay: RelayEntry; readonly fault: string };

/** More relays than one cluster has. */
export const ASKED_MAX = 64;
/** Until a stream begins. */
const OPEN_DEADLINE_MS = 5_000;
/** A relay that works is asked so often whether it is there, and has so long to answer that. */
const LOOK_EVERY_MS = 2_000;
const LOOK_MAX_MS = 3_000;
const UNAUTHORIZED = 401;
const WRONG_RELAY = 421;
const SECOND_MS = 1_000;
const NO_ADDRESS = "does not say where its admin API is: set kafka.advertise there";

export class Peers {
  readonly #options: PeersOptions;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  get selfId(): string {
    return this.#options.directory.selfId;
  }

  get partitions(): number {
    return this.#options.partitions;
  }

  relays(): readonly RelayEntry[] {
    return this.#options.directory.relays();
  }

  /** Never rejects. */
  async request(relay: RelayEntry, request: PeerRequest): Promise<PeerAnswer> {
    const origin = originOf(relay);
    if (origin === undefined) return { relay, fault: NO_ADDRESS };
    try {
      const response = await this.#send(relay.id, origin, request);
      const fault = faultOf(response);
      return fault === undefined ? { relay, response } : { relay, fault };
    } catch (error) {
      return { relay, fault: messageOf(error) };
    }
  }

  /** All others, at the same time; those that are missing are not asked. */
  requestAll(request: PeerRequest): Promise<readonly PeerAnswer[]> {
    const others = this.relays().filter(({ isSelf }) => !isSelf);
    return Promise.all(
      others.map(async (relay, index) => {
        if (relay.isMissing) return { relay, fault: "is missing" };
        return index < ASKED_MAX ? this.request(relay, request) : { relay, fault: `is one of more than ${ASKED_MAX}` };
      }),
    );
  }

  /** A GET whose answer goes on until `signal` aborts. Never rejects. */
  async open(relay: RelayEntry, path: string, signal: AbortSignal): Promise<PeerStream> {
    const { clock, openStream } = this.#options;
    const origin = originOf(relay);
    if (origin === undefined || openStream === undefined) return { relay, fault: NO_ADDRESS };
    const late = new AbortController();
    const timer = clock.after(OPEN_DEADLINE_MS, () => late.abort());
    const request = { method: "GET", path, body: "" } as const;
    try {
      const headers = this.#headersOf(relay.id, request);
      const whole = { method: "GET", url: `${origin}${path}`, headers, body: [] } as const;
      const stream = await openStream(whole, AbortSignal.any([signal, late.signal]));
      const fault = faultOf(stream);
      return fault === undefined ? { relay, stream } : { relay, fault };
    } catch (error) {
      return { relay, fault: late.signal.aborted ? lateText(OPEN_DEADLINE_MS) : messageOf(error) };
    } finally {
      timer.cancel();
    }
  }

  async #send(to: string, origin: string, request: PeerRequest): Promise<HttpResponse> {
    const { clock, transport } = this.#options;
    const { method, path, body, deadlineMs, isLong = false } = request;
    const controller = new AbortController();
    const timer = clock.after(deadlineMs, () => controller.abort());
    let isSilent = false;
    const onSilent = (): void => {
      isSilent = true;
      controller.abort();
    };
    const stopLooking = isLong ? this.#look(to, origin, onSilent) : () => undefined;
    try {
      return await transport(
        {
          method,
          url: `${origin}${path}`,
          headers: this.#headersOf(to, request),
          body: body === "" ? [] : [body],
        },
        controller.signal,
      );
    } catch (error) {
      if (!controller.signal.aborted) throw error;
      throw new Error(lateText(isSilent ? LOOK_EVERY_MS + LOOK_MAX_MS : deadlineMs), { cause: error });
    } finally {
      timer.cancel();
      stopLooking();
    }
  }

  /** Whether a relay is there, again and again until it does not answer, or the caller stops it. */
  #look(to: string, origin: string, onSilent: () => void): () => void {
    const { clock } = this.#options;
    let isOver = false;
    const look = async (): Promise<void> => {
      const request = { method: "GET", path: "/health", body: "", deadlineMs: LOOK_MAX_MS } as const;
      const isThere = await this.#send(to, origin, request).then(
        () => true,
        () => false,
      );
      if (isOver) return;
      if (isThere) timer = clock.after(LOOK_EVERY_MS, () => void look());
      else onSilent();
    };
    let timer = clock.after(LOOK_EVERY_MS, () => void look());
    return () => {
      isOver = true;
      timer.cancel();
    };
  }

  #headersOf(
    to: string,
    { method, path, body }: Pick<PeerRequest, "method" | "path" | "body">,
  ): Readonly<Record<string, string>> {
    const { clock, random, token } = this.#options;
    const secret = token();
    const signature =
      secret === undefined ? undefined : signatureOf({ to, method, path }, body, { token: secret, clock, random });
    return {
      [RELAY_HEADER]: to,
      ...(signature === undefined ? {} : { authorization: signature }),
      ...(body === "" ? {} : { "content-type": "application/json" }),
    };
  }
}

/**
 * Where the admin API of a relay is. `undefined` for anything else that a topic may
 * have.
 */
export function originOf({ adminUrl: url = "" }: Pick<RelayEntry, "adminUrl">): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, origin, username, password, pathname, search } = new URL(url);
  const isPlain = username === "" && password === "" && pathname === "/" && search === "";
  return isPlain && (protocol === "http:" || protocol === "https:") ? origin : undefined;
}

function lateText(deadlineMs: number): string {
  return `has not answered within ${deadlineMs / SECOND_MS} s`;
}

function faultOf({ status, cut }: Pick<HttpResponse, "status" | "cut">): string | undefined {
  if (status === UNAUTHORIZED)
    return "refuses requests of this relay: all relays need the same admin.token, and clocks less than a minute apart";
  if (status === WRONG_RELAY) return "was started again, or another relay has its address";
  if (status >= 300 && status < 400) return `answers with ${status}: its address is not that of an admin API`;
  return cut === true ? "answers with more than this relay takes" : undefined;
}

/** A relay and what is wrong with it, safe in a header or a sentence. */
export function faultText({ relay, fault }: Unanswered): string {
  // A transport's own text is not about the relay.
  return printable(`${relay.name} ${fault.replace(/^no answer from /, "has not answered at ")}`)
    .replaceAll(/[^ -~]/g, "?")
    .slice(0, FAULT_MAX_CHARACTERS);
}

const FAULT_MAX_CHARACTERS = 200;
