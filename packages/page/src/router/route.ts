/** Each view and filter is its URL, so that a link shows what its sender saw. */

const PATHS = {
  overview: "/",
  destination: "/d/{environment}/{destination}",
  events: "/events",
  event: "/e/{environment}/{position}",
  tail: "/tail",
  deadLetterOverview: "/dead",
  deadLetters: "/dead/{environment}/{destination}",
  replays: "/replays",
  cluster: "/cluster",
  config: "/config",
  start: "/start",
} as const;

export type ViewName = keyof typeof PATHS;
export type Params = Readonly<Record<string, string>>;

export interface Route {
  /** `unknown` for a path that no view has. */
  readonly view: ViewName | "unknown";
  /** The parts of the path, by name. */
  readonly params: Params;
  /** The filters; only those that are set. */
  readonly query: Params;
}

const PATTERNS = Object.entries(PATHS).map(([view, path]) => ({
  view: view as ViewName,
  names: [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? ""),
  pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, "([^/]+)")}$`),
}));

/** `url` is a path with its query. */
export function routeOf(url: string): Route {
  const { pathname, searchParams } = new URL(url, "http://page");
  const query = Object.fromEntries([...searchParams].filter(([, value]) => value !== ""));
  const path = pathname === "/" ? pathname : pathname.replace(/\/+$/, "");
  for (const { view, names, pattern } of PATTERNS) {
    const found = pattern.exec(path);
    if (found === null) continue;
    const params = names.map((name, index) => [name, decoded(found[index + 1] ?? "")] as const);
    return { view, params: Object.fromEntries(params), query };
  }
  return { view: "unknown", params: {}, query };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export interface Place {
  readonly params?: Params;
  /** What is empty or `undefined` is left out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
}

export function hrefOf(view: ViewName, { params = {}, query = {} }: Place = {}): string {
  const path = PATHS[view].replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") search.set(name, value);
  return search.size === 0 ? path : `${path}?${search}`;
}

/** The same view with other filters. */
export function withQuery(
  { view, params, query }: Route,
  changes: Readonly<Record<string, string | undefined>>,
): string {
  return hrefOf(view === "unknown" ? "overview" : view, { params, query: { ...query, ...changes } });
}
