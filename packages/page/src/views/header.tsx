/** The navigation, whether the page is live, and who is signed in. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { live } from "../api/live.ts";
import { session, signOut } from "../api/session.ts";
import { type Store, useStore } from "../browser/store.ts";
import { THEMES, type Theme, theme } from "../browser/theme.ts";
import { Link } from "../router/navigation.tsx";
import { hrefOf, type ViewName } from "../router/route.ts";
import { Glyph } from "../ui/glyph.tsx";
import { Time } from "../ui/values.tsx";

const LINKS: readonly (readonly [name: string, view: ViewName, also: readonly string[]])[] = [
  ["Overview", "overview", ["destination"]],
  ["Events", "events", ["event"]],
  ["Live tail", "tail", []],
  ["Dead letters", "deadLetterOverview", ["deadLetters"]],
  ["Replays", "replays", []],
  ["Cluster", "cluster", []],
  ["Configuration", "config", []],
  ["Send events", "start", []],
];

export function Header({ view }: { readonly view: string }): JSX.Element {
  const [isOpen, setIsOpen] = useState(false);
  const { overview } = useStore(live);
  return (
    <header class="header">
      <Link class="brand" href={hrefOf("overview")}>
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <path d="M3 7h5l4 15 4-12 4 12 4-15h5" />
        </svg>
        Waybill
      </Link>
      <Connection />
      <button
        type="button"
        class="menu-button"
        aria-expanded={isOpen}
        aria-controls="menu"
        onClick={() => setIsOpen(!isOpen)}
      >
        <Glyph name="menu" /> Menu
      </button>
      <nav id="menu" class={isOpen ? "menu open" : "menu"} aria-label="Views">
        {shownLinks(overview?.cluster !== undefined).map(([name, target, also]) => (
          <Link
            key={target}
            href={hrefOf(target)}
            isCurrent={view === target || also.includes(view)}
            onFollow={() => setIsOpen(false)}
          >
            {name}
            {target === "overview" ? <ProblemCount /> : null}
          </Link>
        ))}
        <ThemeChoice store={theme} />
        <Reader />
      </nav>
    </header>
  );
}

/** On the disk there is no cluster. */
function shownLinks(isCluster: boolean): typeof LINKS {
  return isCluster ? LINKS : LINKS.filter(([, target]) => target !== "cluster");
}

function ProblemCount(): JSX.Element | null {
  const { overview } = useStore(live);
  const count = overview?.problems.length ?? 0;
  if (count === 0) return null;
  return (
    <span class="count" title={`${count} things are wrong`}>
      {count}
      <span class="visually-hidden"> things are wrong</span>
    </span>
  );
}

function Connection(): JSX.Element {
  const { is, lostAt } = useStore(live);
  return (
    <span class={`connection is-${is}`}>
      {is === "live" ? (
        <>
          <span class="pulse" /> Live
        </>
      ) : null}
      {is === "connecting" ? "Connecting…" : null}
      {is === "lost" && lostAt !== undefined ? (
        <>
          <Glyph name="warning" />
          <span>
            Connection lost since <Time at={lostAt} />. What you see is from then.
          </span>
        </>
      ) : null}
    </span>
  );
}

const NAMES: Readonly<Record<Theme, string>> = { system: "auto", light: "light", dark: "dark" };

function ThemeChoice({ store }: { readonly store: Store<Theme> }): JSX.Element {
  const chosen = useStore(store);
  const next = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length] ?? "system";
  const text = `Colours: ${NAMES[chosen]}. Change to ${NAMES[next]}`;
  return (
    <button type="button" class="plain theme" title={text} aria-label={text} onClick={() => store.set(next)}>
      <Glyph name="theme" />
      <span>{NAMES[chosen]}</span>
    </button>
  );
}

function Reader(): JSX.Element | null {
  const state = useStore(session);
  if (state.is !== "known" || !state.session.required) return null;
  return (
    <span class="reader">
      {state.session.role === "readOnly" ? <span class="muted">read only</span> : null}
      <button type="button" class="plain" onClick={() => void signOut()}>
        Sign out
      </button>
    </span>
  );
}
