/** Who is signed in. The token is never kept: the browser has a cookie that scripts cannot read. */
import { createStore, type Store } from "../browser/store.ts";
import { CallError, call, messageOf } from "./call.ts";
import type { Session } from "./types.ts";

export type SessionState =
  | { readonly is: "loading" }
  | { readonly is: "failed"; readonly message: string }
  | { readonly is: "known"; readonly session: Session };

export const session: Store<SessionState> = createStore<SessionState>({ is: "loading" });

export async function loadSession(): Promise<void> {
  try {
    session.set({ is: "known", session: await call("showSession", {}) });
  } catch (error) {
    // Who was signed in goes on seeing what was last known.
    if (session.get().is !== "known") session.set({ is: "failed", message: messageOf(error) });
  }
}

/** **Errors**: a `CallError` for a wrong token. */
export async function signIn(token: string): Promise<void> {
  await call("signIn", { body: { token } });
  await loadSession();
}

export async function signOut(): Promise<void> {
  await call("signOut", {});
  await loadSession();
}

/** Whether this reader may change something. */
export function mayAct(): boolean {
  const state = session.get();
  return state.is === "known" && state.session.role === "full";
}

/** A session may have ended: by time, a restart, or a new token. */
export function noteFailure(error: unknown): void {
  if (error instanceof CallError && error.status === 401) void loadSession();
}
