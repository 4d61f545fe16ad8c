import { afterEach, expect, test, vi } from "vitest";
import { go, setFilters } from "../../src/router/navigation.tsx";

/** As much of a browser's address bar as navigation uses. */
function addressBar(): { readonly url: () => string } {
  const location = { pathname: "/", search: "" };
  const visit = (_state: unknown, _title: string, href: string): void => {
    const { pathname, search } = new URL(href, "http://page");
    Object.assign(location, { pathname, search });
  };
  vi.stubGlobal("location", location);
  vi.stubGlobal("history", { pushState: visit, replaceState: visit });
  return { url: () => location.pathname + location.search };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

test("two filters that are set one right after the other are both kept", () => {
  const { url } = addressBar();
  go("/replays?destination=analytics");
  setFilters({ userId: "u-1" });
  setFilters({ eventsPerSecond: "5" });
  expect(url()).toBe("/replays?destination=analytics&userId=u-1&eventsPerSecond=5");
});

test("a filter that is emptied leaves the URL, the others stay", () => {
  const { url } = addressBar();
  go("/tail?source=shop&name=Order");
  setFilters({ name: "" });
  expect(url()).toBe("/tail?source=shop");
});
