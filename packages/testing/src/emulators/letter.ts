/**
 * Letter's server: contacts, accounts, events; dedupe by messageId for a day. What the vendor does
 * not document answers as proposed in the protocol's section 3.
 */
import type { ServerRequest, ServerResponse } from "../server.ts";
import {
  bearerOf,
  deepMerge,
  type EmulatorOptions,
  isObject,
  type JsonObject,
  json,
  parseBody,
  pathOf,
  Seen,
  VendorEmulator,
} from "./emulator.ts";

export interface LetterEmulatorOptions extends EmulatorOptions {
  /** Ingestion keys that are taken. Default: any that is not empty. */
  readonly apiKeys?: readonly string[];
}

export interface LetterContact {
  readonly userId: string;
  readonly email: string | undefined;
  readonly timezone: string | undefined;
  readonly traits: JsonObject;
}

export interface LetterAccount {
  readonly accountId: string;
  readonly name: string | undefined;
  readonly traits: JsonObject;
  /** User ids. */
  readonly members: Set<string>;
}

const ITEMS_MAX = 500;
const BODY_MAX_BYTES = 512 * 1024;
const DEDUPE_MS = 24 * 3_600_000;
const KINDS: readonly string[] = ["identify", "group", "track"];

export class LetterEmulator extends VendorEmulator {
  #apiKeys: readonly string[] | undefined;
  readonly #seen = new Seen(DEDUPE_MS);
  /** By user id. */
  readonly contacts: Map<string, LetterContact> = new Map();
  /** By account id. */
  readonly accounts: Map<string, LetterAccount> = new Map();
  /** Track events after dedupe, oldest first. */
  readonly events: JsonObject[] = [];
  /** Transactional mails. */
  readonly mails: JsonObject[] = [];
  /** Ids of what was taken, after dedupe, in order. */
  readonly ids: string[] = [];
  duplicates = 0;

  constructor(options: LetterEmulatorOptions = {}) {
    super(options);
    this.#apiKeys = options.apiKeys;
  }

  /** Only these keys are taken from now on. */
  rotate(apiKeys: readonly string[]): void {
    this.#apiKeys = apiKeys;
  }

  protected refusal(status: number): ServerResponse {
    return error(status, status === 429 ? "rate_limited" : "unavailable", "injected failure");
  }

  protected work(request: ServerRequest, partial: boolean): ServerResponse {
    const kind = /^\/v1\/([a-z]+)$/.exec(pathOf(request))?.[1] ?? "";
    if (request.method !== "POST" || !["batch", "send", ...KINDS].includes(kind))
      return error(404, "not_found", request.path);
    const key = bearerOf(request);
    if (key === undefined || this.#apiKeys?.includes(key) === false)
      return error(401, "unauthorized", "unknown API key");
    if (key.startsWith("lt_pat_")) return error(403, "forbidden", "a management token cannot ingest");
    if (request.body.length > BODY_MAX_BYTES) return error(413, "payload_too_large", `${request.body.length} bytes`);
    const body = parseBody(request);
    if (!isObject(body)) return error(400, "bad_request", "the body is not a JSON object");
    if (kind === "send") return this.#send(body);
    if (kind !== "batch") return this.#single(kind, body);
    const items = body["batch"];
    if (!Array.isArray(items)) return error(400, "bad_request", "batch is not an array");
    if (items.length > ITEMS_MAX) return error(413, "payload_too_large", `${items.length} items`);
    return this.#batch(items, partial);
  }

  #single(kind: string, item: JsonObject): ServerResponse {
    const fault = this.#faultOf({ ...item, type: kind });
    if (fault !== undefined) return error(400, "bad_request", fault);
    const duplicates = this.#take({ ...item, type: kind });
    return json(200, { ok: true, accepted: 1 - duplicates, duplicates });
  }

  #batch(items: readonly unknown[], partial: boolean): ServerResponse {
    const rejected: { index: number; code: string; message: string }[] = [];
    let duplicates = 0;
    for (const [index, item] of items.entries()) {
      const fault = partial && index % 2 === 1 ? "injected refusal" : this.#faultOf(item);
      if (fault === undefined) duplicates += this.#take(item as JsonObject);
      else rejected.push({ index, code: "bad_request", message: fault });
    }
    const accepted = items.length - rejected.length - duplicates;
    return json(200, { ok: true, accepted, duplicates, ...(rejected.length === 0 ? {} : { rejected }) });
  }

  /** What is wrong with an item; `undefined` for nothing. */
  #faultOf(item: unknown): string | undefined {
    if (!isObject(item)) return "not an object";
    const { type, userId } = item;
    if (typeof type !== "string" || !KINDS.includes(type)) return `unknown type ${String(type)}`;
    if (!isText(userId)) return `${type}: userId is required`;
    if (type === "track" && !isText(item["event"])) return "track: event is required";
    if (type === "group" && !isText(item["accountId"])) return "group: accountId is required";
    if (type === "identify" && !this.contacts.has(userId) && emailOf(item) === undefined)
      return "identify: a new contact needs an email";
    return undefined;
  }

  /** 1 for a duplicate, else 0. */
  #take(item: JsonObject): number {
    const { type, messageId } = item;
    if (isText(messageId)) {
      if (this.#seen.add(messageId, this.clock.now())) {
        this.duplicates += 1;
        return 1;
      }
      this.ids.push(messageId);
    }
    if (type === "identify") this.#identify(item);
    else if (type === "group") this.#group(item);
    else this.events.push(item);
    return 0;
  }

  #identify(item: JsonObject): void {
    const userId = String(item["userId"]);
    const before = this.contacts.get(userId);
    this.contacts.set(userId, {
      userId,
      email: emailOf(item) ?? before?.email,
      timezone: isText(item["timezone"]) ? item["timezone"] : before?.timezone,
      traits: deepMerge(before?.traits ?? {}, objectOf(item["traits"])),
    });
  }

  #group(item: JsonObject): void {
    const accountId = String(item["accountId"]);
    const before = this.accounts.get(accountId);
    this.accounts.set(accountId, {
      accountId,
      name: isText(item["name"]) ? item["name"] : before?.name,
      traits: deepMerge(before?.traits ?? {}, objectOf(item["traits"])),
      members: (before?.members ?? new Set<string>()).add(String(item["userId"])),
    });
  }

  #send(mail: JsonObject): ServerResponse {
    if (!isText(mail["to"]) || !isText(mail["subject"]))
      return error(400, "bad_request", "to and subject are required");
    const { idempotencyKey } = mail;
    const before = isText(idempotencyKey)
      ? this.mails.findIndex((one) => one["idempotencyKey"] === idempotencyKey)
      : -1;
    const id = before === -1 ? this.mails.push(mail) : before + 1;
    return json(200, { id: `mail_${id}`, messageId: `<${id}@mail>`, status: "queued", replayed: before !== -1 });
  }
}

function emailOf(item: JsonObject): string | undefined {
  const email = item["email"] ?? objectOf(item["traits"])["email"];
  return isText(email) ? email : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function error(status: number, code: string, message: string): ServerResponse {
  return json(status, { error: { code, message } });
}
