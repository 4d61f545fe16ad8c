/** Signing in with the admin token. It goes into the body of one request, and is not kept. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, messageOf } from "../api/call.ts";
import { session, signIn } from "../api/session.ts";
import { useStore } from "../browser/store.ts";
import { Field } from "../ui/fields.tsx";
import { Failure } from "../ui/notes.tsx";

export function SignIn(): JSX.Element {
  const state = useStore(session);
  const [token, setToken] = useState("");
  const [fault, setFault] = useState<string>();
  const [isBusy, setIsBusy] = useState(false);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = "Sign in · Waybill";
    main.current?.querySelector("input")?.focus();
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    setIsBusy(true);
    setFault(undefined);
    signIn(token).catch((error: unknown) => {
      setFault(faultOf(error));
      setIsBusy(false);
    });
  };
  const hasReadOnly = state.is === "known" && state.session.readOnlyTokenConfigured;
  return (
    <main class="sign-in" ref={main}>
      <h1>Waybill</h1>
      <form class="panel" onSubmit={submit} aria-label="Sign in">
        <Field
          label="Admin token"
          type="password"
          autoComplete="current-password"
          value={token}
          isRequired
          onChange={setToken}
          hint={
            hasReadOnly
              ? "admin.token of the configuration, or admin.readOnlyToken, with which nothing can be changed."
              : "admin.token of the configuration, or WAYBILL_ADMIN_TOKEN of the relay."
          }
        />
        {fault === undefined ? null : <Failure message={fault} />}
        <button type="submit" class="primary" disabled={isBusy || token === ""}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <p class="muted">
        The token is exchanged for a cookie that scripts cannot read. It ends after twelve hours, or when the relay
        restarts.
      </p>
    </main>
  );
}

function faultOf(error: unknown): string {
  if (!(error instanceof CallError)) return messageOf(error);
  if (error.status === 401) return "This is not the token of this relay.";
  if (error.status === 429)
    return `Too many wrong tokens came from your address. Try again in ${error.retryAfterSeconds ?? 60} s.`;
  return error.message;
}
