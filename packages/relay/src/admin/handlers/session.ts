/** Handlers of signing in and out. */
import { problem } from "../../intake/answers.ts";
import { LIBRARY } from "../../version.ts";
import { roleOf } from "../guard.ts";
import { Refusal } from "../refusal.ts";
import type { sessionRoutes } from "../routes/session.ts";
import { type Role, roleOfToken } from "../sessions.ts";
import type { Session } from "../views.ts";
import { answer, answerNothing, type Call, type Handlers } from "./call.ts";

const SECOND_MS = 1_000;

export const sessionHandlers: Handlers<keyof typeof sessionRoutes> = {
  showSession: (_view, call) => answer(call, 200, sessionOf(call, roleOf(call.request, call.guard) ?? null)),
  signIn,
  signOut: (_view, call) => {
    call.response.setHeader("set-cookie", call.guard.sessions.end(call.request));
    answerNothing(call);
  },
};

function signIn(_view: unknown, call: Call<"signIn">): void {
  const { guard, request, response, body } = call;
  const { sessions } = guard;
  if (guard.token === undefined) return answer(call, 200, sessionOf(call, "full"));
  const waitMs = sessions.waitMs(request);
  // Also the right one: else each try would still tell whether it is.
  if (waitMs > 0) {
    const headers = { "retry-after": String(Math.ceil(waitMs / SECOND_MS)) };
    throw new Refusal(
      problem(429, "too_many_attempts", "Too many wrong tokens came from this address; wait a minute.", headers),
    );
  }
  const role = roleOfToken(body.token, guard);
  if (role === undefined) {
    sessions.failed(request);
    throw new Refusal(problem(401, "unauthorized", "The token is wrong."));
  }
  response.setHeader("set-cookie", sessions.open(role, guard, request));
  answer(call, 200, sessionOf(call, role));
}

function sessionOf({ guard }: Pick<Call<"signIn">, "guard">, role: Role | null): Session {
  return {
    required: guard.token !== undefined,
    role,
    version: LIBRARY.version,
    readOnlyTokenConfigured: guard.readOnlyToken !== undefined,
  };
}
