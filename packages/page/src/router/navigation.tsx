/** The address bar as a store, and links that do not load the page anew. */
import type { ComponentChildren, JSX } from "preact";
import { createStore, type Store, useStore } from "../browser/store.ts";
import { type Params, type Route, routeOf, withQuery } from "./route.ts";

const route: Store<Route> = createStore(routeOf("/"));

export function startNavigation(): void {
  const read = (): void => route.set(routeOf(location.pathname + location.search));
  addEventListener("popstate", read);
  read();
}

export function useRoute(): Route {
  return useStore(route);
}

export function go(href: string): void {
  history.pushState(null, "", href);
  route.set(routeOf(href));
}

/** For a filter that changes while one types: going back does not go through each character. */
export function replaceUrl(href: string): void {
  if (href === location.pathname + location.search) return;
  history.replaceState(null, "", href);
  route.set(routeOf(href));
}

/**
 * Sets filters of the present view, and leaves the others as they are by now: two fields that were
 * changed one right after the other both keep their text. What is empty is taken out.
 */
export function setFilters(changes: Params): void {
  replaceUrl(withQuery(route.get(), changes));
}

export interface LinkProps {
  readonly href: string;
  readonly class?: string;
  readonly title?: string;
  readonly isCurrent?: boolean;
  readonly children: ComponentChildren;
  readonly onFollow?: () => void;
}

export function Link({ href, isCurrent = false, children, onFollow, ...rest }: LinkProps): JSX.Element {
  const follow = (event: MouseEvent): void => {
    onFollow?.();
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    go(href);
  };
  return (
    <a href={href} onClick={follow} {...(isCurrent ? { "aria-current": "page" } : {})} {...rest}>
      {children}
    </a>
  );
}
