/**
 * Whose a request is, and who refuses it: everything that is decided by its head.
 *
 * A prefix or a host names the source. Else a key names its source and the source its vendor, so
 * vendors may share a path: each vendor that has the path looks for a key of its own, in the order
 * of the registry. Where none finds one that is known:
 *
 * 1. Vendors whose body may name the key read the body, one after another until one knows the key;
 *    when none does, the first one refuses.
 * 2. Else the first vendor that has the path refuses, in its own way.
 * 3. A path that no vendor of the sources has is nobody's: 404.
 */
import type { InboundOptions, InboundRequest, InboundRoute, InboundRefusal as Refusal } from "@waybill/vendors";
import { type IntakeLimits, shown } from "@waybill/vendors";
import { ADAPTERS, adapterOf, type VendorAdapter } from "@waybill/vendors/registry";
import { type Answer, problem } from "./answers.ts";
import { answerOf, keyRefusal, type Refusals, rateRefusal, STOPPING } from "./refusals.ts";
import type { KnownKey, Source, SourceTable } from "./sources.ts";
import type { IntakeOptions, IntakeRequest, Opened } from "./types.ts";

const ALLOW_ORIGIN = { "access-control-allow-origin": "*" };

/** A vendor that has the path, and whose the request is as far as its head says. */
interface Match {
  readonly adapter: VendorAdapter;
  readonly route: InboundRoute;
  readonly request: InboundRequest;
  readonly source: Source | undefined;
  readonly key: string | undefined;
}

export class Router {
  readonly #options: IntakeOptions;
  readonly #refusals: Refusals;
  readonly #limits: ReadonlyMap<string, IntakeLimits>;
  /**
   * Keys that were found right before: a digest costs as much as framing a small body. One entry
   * for each valid key.
   */
  readonly #known = new Map<string, KnownKey>();
  #sources: SourceTable;
  #adapters: readonly VendorAdapter[];
  #stopping = false;

  constructor(sources: SourceTable, options: IntakeOptions, refusals: Refusals) {
    this.#options = options;
    this.#refusals = refusals;
    this.#limits = new Map(ADAPTERS.map(({ name, inbound }) => [name, { ...inbound.limits, ...options.intakeLimits }]));
    this.#sources = sources;
    this.#adapters = adaptersOf(sources);
  }

  get sources(): SourceTable {
    return this.#sources;
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  replaceSources(sources: SourceTable): void {
    this.#sources = sources;
    this.#adapters = adaptersOf(sources);
    this.#known.clear();
  }

  stop(): void {
    this.#stopping = true;
  }

  /** An answer, or leave to read the body. */
  open(asked: IntakeRequest): Answer | Opened {
    const queryAt = asked.path.indexOf("?");
    const fullPath = queryAt === -1 ? asked.path : asked.path.slice(0, queryAt);
    const host = this.#sources.byHost(asked.headers?.["host"]);
    const prefixed =
      this.#sources.byPath(fullPath) ?? (host === undefined ? undefined : { source: host, path: fullPath });
    const path = prefixed?.path ?? fullPath;
    const request = requestOf(asked, path);
    const adapters = prefixed === undefined ? this.#adapters : [adapterOf(prefixed.source.config.protocol)];
    let refusing: Match | undefined;
    const inBody: Match[] = [];
    for (const adapter of adapters) {
      const route = adapter.inbound.match(path);
      if (route === undefined) continue;
      const match = { adapter, route, request, source: prefixed?.source, key: undefined };
      asked.route ??= route.pattern;
      const found = this.#find(match);
      if (found !== undefined) return this.#openRoute({ ...match, ...found }, asked);
      refusing ??= match;
      if (prefixed === undefined && adapter.inbound.keyInBody?.(request) === true) inBody.push(match);
    }
    if (inBody.length > 0) return this.#openBodies(inBody, asked);
    if (refusing !== undefined) return this.#unknownKey(refusing);
    const shared = prefixed === undefined ? this.#sources.sharedName(fullPath) : undefined;
    const message =
      shared === undefined
        ? `There is no ${shown(fullPath)} on this relay.`
        : `Several environments have a source ${shared.name}; send to ${shared.prefixes.join("/ or ")}/ instead.`;
    const [adapter] = adapters;
    if (prefixed === undefined || adapter === undefined) return problem(404, "unknown_route", message, ALLOW_ORIGIN);
    return answerOf(adapter.inbound.refuse({ kind: "not_found", message }, request));
  }

  /**
   * The source of a key that the body names; `undefined` for one that is not known, or not of the
   * source that the path names.
   */
  sourceInBody({ adapter, source }: Opened, key: string): Source | undefined {
    const known = this.#lookUp(adapter.name, key, "")?.source;
    return source === undefined || known === source ? known : undefined;
  }

  /** What an adapter gets of the source, and of the relay. */
  optionsFor(adapter: VendorAdapter, source: Source | undefined, makeId: InboundOptions["makeId"]): InboundOptions {
    const { clock, limits, scanArray } = this.#options;
    // Where the key in the body names the source it is looked up once more.
    const isKey = (key: string): boolean => {
      const known = this.#sources.byKey(key)?.source;
      return known !== undefined && (source === undefined ? known.config.protocol === adapter.name : known === source);
    };
    const { maxEvents } = this.#limits.get(adapter.name) as IntakeLimits;
    const own = source === undefined ? {} : { own: source.config, keyless: source.config.keyless };
    return { strict: limits.strict, makeId, isKey, now: () => clock.now(), maxEvents, scanArray, ...own };
  }

  /** A key in the head that is known, or a source that the path names and that needs none there. */
  #find({ adapter, route, request, source }: Match): Pick<Match, "source" | "key"> | undefined {
    const { inbound, name } = adapter;
    const key = route.key ?? inbound.key(request);
    const known = key === undefined ? undefined : this.#lookUp(name, key, route.keyKind ?? "");
    // Where the path names the source, a key that is there must be its own all the same.
    if (known !== undefined && (source === undefined || known.source === source))
      return { source: known.source, key: known.key };
    if (source === undefined || known !== undefined) return undefined;
    if (inbound.keyInBody?.(request) === true) return { source, key: undefined };
    return key === undefined && source.config.keyless ? { source, key: undefined } : undefined;
  }

  #lookUp(vendor: string, key: string, kind: string): KnownKey | undefined {
    const name = `${vendor} ${kind} ${key}`;
    const remembered = this.#known.get(name);
    if (remembered !== undefined && this.#sources.isValid(remembered)) return remembered;
    const known = this.#sources.byKey(key, kind);
    if (known?.source.config.protocol !== vendor) return undefined;
    this.#known.set(name, known);
    return known;
  }

  /** Leave to read the body to all of them that take the request, in their order. */
  #openBodies(matches: readonly Match[], asked: IntakeRequest): Answer | Opened {
    const [only] = matches;
    if (only !== undefined && matches.length === 1) return this.#openRoute(only, asked);
    const all = matches.map((match) => this.#openRoute(match, asked));
    const bodyMaxBytes = Math.max(...all.map((one) => ("status" in one ? 0 : one.bodyMaxBytes)));
    let opened: Opened | undefined;
    for (const one of all.toReversed())
      if (!("status" in one)) opened = { ...one, bodyMaxBytes, ...(opened === undefined ? {} : { next: opened }) };
    return opened ?? (all[0] as Answer);
  }

  #unknownKey(match: Match): Answer {
    const { adapter, route, request } = match;
    // A browser asks without its key, unless that is in the path.
    const answer = route.key === undefined ? (this.#preflight(match) ?? this.#wrongMethod(match)) : undefined;
    if (answer !== undefined) return answer;
    const isKeyless = adapter.inbound.key(request) === undefined && route.key === undefined;
    const place = route.key === undefined ? adapter.inbound.keyPlace : "in the path";
    const refusal = keyRefusal(isKeyless, place, match.source?.config.name);
    return this.#refusals.answer(refusal, { adapter, source: undefined, request });
  }

  #openRoute(match: Match, asked: IntakeRequest): Answer | Opened {
    const { adapter, route, request, source, key } = match;
    asked.route = route.pattern;
    asked.owner = source;
    const answer = this.#preflight(match) ?? this.#wrongMethod(match);
    if (answer !== undefined) return answer;
    if (this.#stopping) return this.#refuse(match, STOPPING);
    const { retryCount = "0" } = asked;
    if (source !== undefined && key !== undefined) {
      if (retryCount !== "0")
        this.#options.observer.requestRetried({ environment: source.environment.name, source: source.config.name });
      // A key in the body is counted when it is known.
      const limited = rateRefusal(source, key);
      if (limited !== undefined) return this.#refuse(match, limited);
    }
    // A key that is not known here does not make a request one without a key.
    const isOpen = source?.config.keyless === true && (route.key ?? adapter.inbound.key(request)) === undefined;
    const payer = source !== undefined && (key !== undefined || isOpen) ? source : undefined;
    const { bodyMaxBytes } = this.#limits.get(adapter.name) as IntakeLimits;
    return { adapter, route, source, key, payer, asked, request, path: request.path, bodyMaxBytes };
  }

  #preflight({ adapter, route, request, source }: Match): Answer | undefined {
    if (request.method !== "OPTIONS" || route.preflight === undefined) return undefined;
    return answerOf(
      route.preflight(
        request,
        this.optionsFor(adapter, source, () => ""),
      ),
    );
  }

  #wrongMethod(match: Match): Answer | undefined {
    const { route, request } = match;
    if (route.methods.includes(request.method)) return undefined;
    const message = `${shown(request.path)} takes ${route.methods.join(", ")}.`;
    return this.#refuse(match, { kind: "method_not_allowed", message });
  }

  #refuse(match: Match, refusal: Refusal): Answer {
    const { adapter, route, request, source } = match;
    const headers = route.headers?.(
      request,
      this.optionsFor(adapter, source, () => ""),
    );
    return this.#refusals.answer(refusal, { ...match, ...(headers === undefined ? {} : { headers }) });
  }
}

/** Those that any source speaks. */
function adaptersOf({ protocols }: SourceTable): readonly VendorAdapter[] {
  return ADAPTERS.filter(({ name }) => protocols.has(name));
}

/** The request as adapters know it. */
export function requestOf(
  { method, path: whole, headers, authorization, socket }: IntakeRequest,
  path: string,
): InboundRequest {
  const queryAt = whole.indexOf("?");
  const query = queryAt === -1 ? "" : whole.slice(queryAt + 1);
  const address = socket?.remoteAddress;
  return { method, path, query, headers: (headers ?? { authorization }) as InboundRequest["headers"], address };
}
