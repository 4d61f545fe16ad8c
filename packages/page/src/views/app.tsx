/** Signing in, or the view that the URL names. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { live, startLive, stopLive } from "../api/live.ts";
import { loadSession, session } from "../api/session.ts";
import type { RelayProblem } from "../api/types.ts";
import { useStore } from "../browser/store.ts";
import { announcementOf } from "../model/lanes.ts";
import { useRoute } from "../router/navigation.tsx";
import type { Route, ViewName } from "../router/route.ts";
import { Announcer, announce } from "../ui/announcer.tsx";
import { Failure } from "../ui/notes.tsx";
import { ClusterView } from "./cluster.tsx";
import { ConfigView } from "./config.tsx";
import { DeadLetterOverview } from "./dead-letter-overview.tsx";
import { DeadLettersView } from "./dead-letters.tsx";
import { DestinationView } from "./destination.tsx";
import { EventView } from "./event.tsx";
import { EventsView } from "./events.tsx";
import { FirstRunView } from "./first-run.tsx";
import { Header } from "./header.tsx";
import { OverviewView } from "./overview.tsx";
import { ReplaysView } from "./replays.tsx";
import { SignIn } from "./sign-in.tsx";
import { TailView } from "./tail.tsx";
import { UnknownView } from "./unknown.tsx";

const VIEWS: Readonly<Record<ViewName | "unknown", (props: { readonly route: Route }) => JSX.Element>> = {
  overview: OverviewView,
  destination: DestinationView,
  events: EventsView,
  event: EventView,
  tail: TailView,
  deadLetterOverview: DeadLetterOverview,
  deadLetters: DeadLettersView,
  replays: ReplaysView,
  cluster: ClusterView,
  config: ConfigView,
  start: FirstRunView,
  unknown: UnknownView,
};

export function App(): JSX.Element {
  const state = useStore(session);
  if (state.is === "loading") return <div class="blank" />;
  if (state.is === "failed")
    return (
      <main class="sign-in">
        <h1>Waybill</h1>
        <Failure message={state.message} onRetry={() => void loadSession()} />
      </main>
    );
  return state.session.required && state.session.role === null ? <SignIn /> : <SignedIn />;
}

function SignedIn(): JSX.Element {
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    startLive();
    return stopLive;
  }, []);
  useAnnouncements();
  const place = `${route.view}\n${JSON.stringify(route.params)}`;
  const before = useRef(place);
  useEffect(() => {
    // Not for the first view: a reader of screens begins at the top of the page.
    if (before.current === place) return;
    before.current = place;
    scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }, [place]);
  const View = VIEWS[route.view];
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header view={route.view} />
      <main id="main" ref={main} tabIndex={-1}>
        <View key={place} route={route} />
      </main>
      <Announcer />
    </>
  );
}

/** Problems that come and go, and the connection, are read aloud, whichever view is shown. */
function useAnnouncements(): void {
  const { is, overview } = useStore(live);
  const wasLost = useRef(false);
  useEffect(() => {
    if (is === "lost") announce("The connection to the relay is lost. What you see is not current.");
    if (is === "live" && wasLost.current) announce("The page is live again.");
    if (is !== "connecting") wasLost.current = is === "lost";
  }, [is]);
  const known = useRef<readonly RelayProblem[] | undefined>(undefined);
  useEffect(() => {
    if (overview === undefined) return;
    const text = known.current === undefined ? "" : announcementOf(known.current, overview.problems);
    known.current = overview.problems;
    if (text !== "") announce(text);
  }, [overview]);
}
