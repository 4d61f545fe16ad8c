/** The search field: a list of sections below it, by keyboard and by mouse. */
import MiniSearch from "minisearch";
import { SEARCH_OPTIONS, type Searched } from "../search-options.ts";

declare global {
  interface Window {
    /** Set by `search-index.js`, a script so that pages opened from a disk may load it. */
    waybillSearchIndex?: string;
  }
}

const SHOWN_MAX = 12;

export function startSearch(siteRoot: string): void {
  const field = document.querySelector<HTMLInputElement>(".search input");
  const list = document.querySelector<HTMLUListElement>("#found");
  if (field === null || list === null) return;
  let index: Promise<MiniSearch<Searched>> | undefined;
  let at = -1;

  const options = (): HTMLAnchorElement[] => [...list.querySelectorAll("a")];
  const close = (): void => {
    list.hidden = true;
    at = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  };
  const choose = (next: number): void => {
    const all = options();
    if (all.length === 0) return;
    at = (next + all.length) % all.length;
    for (const [number, link] of all.entries())
      link.parentElement?.setAttribute("aria-selected", String(number === at));
    field.setAttribute("aria-activedescendant", `found-${at}`);
    all[at]?.scrollIntoView({ block: "nearest" });
  };
  const show = async (): Promise<void> => {
    const words = field.value.trim();
    if (words === "") return close();
    index ??= loadIndex(siteRoot);
    const found = (await index).search(words).slice(0, SHOWN_MAX);
    if (field.value.trim() !== words) return;
    list.replaceChildren(
      ...(found.length === 0 ? [nothingFound()] : found.map((one, number) => item(one, number, siteRoot))),
    );
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    choose(0);
  };

  field.addEventListener("input", () => void show());
  field.addEventListener("focus", () => void show());
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") choose(at + 1);
    else if (event.key === "ArrowUp") choose(at - 1);
    else if (event.key === "Enter") options()[at]?.click();
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", close);
  document.addEventListener("click", ({ target }) => {
    if (!(target as Element).closest(".search")) close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || (event.target as Element).matches("input, textarea")) return;
    event.preventDefault();
    field.focus();
  });
}

function loadIndex(siteRoot: string): Promise<MiniSearch<Searched>> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${siteRoot}search-index.js`;
    script.addEventListener("load", () =>
      resolve(MiniSearch.loadJSON(window.waybillSearchIndex ?? "", SEARCH_OPTIONS)),
    );
    script.addEventListener("error", () => reject(new Error("the search index cannot be loaded")));
    document.head.append(script);
  });
}

function item(found: Record<string, unknown>, number: number, siteRoot: string): HTMLLIElement {
  const [line, link] = [document.createElement("li"), document.createElement("a")];
  line.id = `found-${number}`;
  line.role = "option";
  link.href = `${siteRoot}${String(found["id"])}`;
  link.tabIndex = -1;
  const [page, heading] = [document.createElement("small"), document.createElement("span")];
  heading.textContent = String(found["heading"]);
  page.textContent = found["heading"] === found["page"] ? "The page" : String(found["page"]);
  link.append(heading, page);
  line.append(link);
  return line;
}

function nothingFound(): HTMLLIElement {
  const line = document.createElement("li");
  line.className = "nothing";
  line.textContent = "Nothing is found. Fewer words find more.";
  return line;
}
