/** What a relay has on its way to a vendor: never events of one user in two requests at once. */
import type { HttpRequest, Transport } from "@waybill/core";
import { parseBody } from "../packages/testing/src/emulators/emulator.ts";

/** What a destination has promised at the moment. */
export interface InFlightRules {
  readonly order: "user" | "arrival" | "none";
  readonly maxInFlight: number;
}

export interface InFlightOptions {
  readonly transport: Transport;
  /** By the origin of the vendor; `undefined` for a request to nobody that is watched. */
  readonly rulesOf: (origin: string) => InFlightRules | undefined;
  readonly onViolation: (what: string) => void;
  /** Whether a request is a replay's: its order is not the lane's. Default: none is. */
  readonly isReplay?: (request: HttpRequest) => boolean;
}

/** A transport that looks at what is on its way at once. */
export function watched({ transport, rulesOf, onViolation, isReplay = () => false }: InFlightOptions): Transport {
  const inFlight = new Map<string, Set<readonly string[] | "replay">>();
  return async (request, signal) => {
    const { origin } = new URL(request.url);
    const rules = rulesOf(origin);
    if (rules === undefined) return transport(request, signal);
    const all = inFlight.get(origin) ?? new Set();
    inFlight.set(origin, all);
    const users = isReplay(request) ? "replay" : usersOf(request);
    if (all.size >= rules.maxInFlight)
      onViolation(`${origin} has ${all.size + 1} requests at once, ${rules.maxInFlight} are allowed`);
    const ofLane = [...all].filter((one) => one !== "replay");
    if (users !== "replay" && rules.order === "arrival" && ofLane.length > 0)
      onViolation(`${origin} has two requests at once in order of arrival`);
    if (users !== "replay" && rules.order === "user")
      for (const others of ofLane)
        for (const user of users)
          if (others.includes(user)) onViolation(`${origin} has two requests at once with events of ${user}`);
    all.add(users);
    try {
      return await transport(request, signal);
    } finally {
      all.delete(users);
    }
  };
}

/** Those whose events a request has; an event of nobody is nobody's. */
function usersOf({ body }: Pick<HttpRequest, "body">): readonly string[] {
  const users = new Set<string>();
  for (const event of eventsIn(Buffer.concat(body.map((chunk) => Buffer.from(chunk as string))))) {
    const user = userOf(event);
    if (user !== undefined) users.add(user);
  }
  return [...users];
}

/** The events of a request to any of the vendors here. */
export function eventsIn(body: Uint8Array): readonly Readonly<Record<string, unknown>>[] {
  const parsed = parseBody({ method: "POST", path: "", headers: {}, body }) as { readonly batch?: unknown };
  return (Array.isArray(parsed) ? parsed : parsed.batch) as readonly Readonly<Record<string, unknown>>[];
}

/** Whose event it is: events of one keep their order. */
export function userOf({ userId, anonymousId }: Readonly<Record<string, unknown>>): string | undefined {
  if (isIdentity(userId)) return String(userId);
  return isIdentity(anonymousId) ? String(anonymousId) : undefined;
}

function isIdentity(value: unknown): boolean {
  return (typeof value === "string" && value !== "") || typeof value === "number" || typeof value === "boolean";
}
