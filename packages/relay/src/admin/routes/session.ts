/** Routes by which the page signs in: the token becomes a cookie that scripts cannot read. */
import { signInRequest } from "../schemas/requests.ts";
import { session } from "../schemas/session.ts";
import { json, nothing, type RouteDefinition, refused } from "./route.ts";

export const sessionRoutes = {
  showSession: {
    method: "GET",
    path: "/v1/session",
    summary: "Tells whether a token is needed, and what this request may do.",
    access: "open",
    answers: { 200: json("As of now.", session) },
  },
  signIn: {
    method: "POST",
    path: "/v1/session",
    summary: "Begins a session of twelve hours in the cookie `waybill_session`.",
    access: "open",
    body: signInRequest,
    answers: {
      200: json("Signed in. Without a configured token no cookie is set: none is needed.", session),
      401: refused("The token is wrong.", "unauthorized"),
      429: refused(
        "Too many wrong tokens came from this address; `Retry-After` says when to try again.",
        "too_many_attempts",
      ),
    },
  },
  signOut: {
    method: "DELETE",
    path: "/v1/session",
    summary: "Ends the session of the request's cookie.",
    access: "open",
    answers: { 204: nothing("Signed out, also when there was no session.") },
  },
} as const satisfies Readonly<Record<string, RouteDefinition>>;
