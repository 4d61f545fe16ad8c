/** Handlers of signing in and out. */
import { problem } from "../../intake/answers.ts";
import { LIBRARY } from "../../version.ts";
import { roleOf, tooManyTries } from "../guard.ts";
import { Refusal } from "../refusal.ts";
import type { sessionRoutes } from "../routes/session.ts";
import { type Role, roleOfToken } from "../tokens.ts";
import type { Session } from "../views.ts";
import { answer, answerNothing, type Call, type Handlers } from "./call.ts";

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
  const { sessions, tries } = guard;
  if (guard.token === undefined) return answer(call, 200, sessionOf(call, "full"));
  const waitMs = tries.waitMs(request);
  // Also the right one: a person can wait a minute, and else each try would tell whether it is.
  if (waitMs > 0) throw new Refusal(tooManyTries(waitMs));
  const role = roleOfToken(body.token, guard);
  if (role === undefined) {
    tries.failed(request);
    throw new Refusal(problem(401, "unauthorized", "The token is wrong."));
  }
  tries.succeeded(request, role);
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
