/** Runs one flow: its tabs, what they must not do, and what they leave behind. */
import axeCore from "axe-core";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { Broken, check } from "./check.ts";
import type { Figures, Flow, OpenOptions, Role, Stage } from "./flow.ts";
import { type AnyRelay, READ_ONLY_TOKEN, TOKEN } from "./relay.ts";
import type { World } from "./world.ts";

/** Of one step of a flow; a machine that does other work is slow. */
const STEP_MAX_MS = 12_000;
const HEIGHT_PX = 900;
/** A refused request is what some flows are about; the browser notes each as an error. */
const EXPECTED = /^Failed to load resource: /;

/** Nothing leaves the browser for these. */
const LOCAL = new Set(["data:", "blob:"]);

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

export interface Ran {
  readonly name: string;
  readonly fault: string | undefined;
  readonly notes: readonly string[];
  readonly ms: number;
}

export interface RunOptions {
  readonly browser: Browser;
  readonly world: World;
  readonly figures: Figures;
  /** Where a failed flow leaves a picture of its tabs. Default: nowhere. */
  readonly pictures?: string | undefined;
}

export async function runFlow(flow: Flow, options: RunOptions): Promise<Ran> {
  const { world, figures, pictures } = options;
  const startedAt = performance.now();
  const tabs = new Tabs(options);
  const notes: string[] = [];
  const later: (() => Promise<void>)[] = [];
  const stage: Stage = {
    world,
    figures,
    open: (open) => tabs.open(open),
    axe: (page, view) => axe(page, view, figures),
    note: (text) => notes.push(text),
    after: (work) => later.push(work),
  };
  let fault: string | undefined;
  try {
    await flow.run(stage);
    check(tabs.errors.length === 0, tabs.errors.join("; "));
  } catch (error) {
    fault = textOf(error);
    if (pictures !== undefined) await tabs.picture(`${pictures}/failed-${flow.name.replaceAll(/\W+/g, "-")}.png`);
  }
  await tabs.close();
  for (const work of later) await work();
  return { name: flow.name, fault, notes, ms: Math.round(performance.now() - startedAt) };
}

/** The tabs of a flow. */
class Tabs {
  readonly #options: RunOptions;
  readonly #contexts: BrowserContext[] = [];
  /** What went wrong in them without being asked for. */
  readonly errors: string[] = [];

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async open({
    relay,
    as = "full",
    width = 1440,
    theme = "light",
    isForeign = false,
    at,
  }: OpenOptions = {}): Promise<Page> {
    const { browser, world, figures } = this.#options;
    const { adminUrl } = relay ?? world.relay;
    const context = await browser.newContext({
      baseURL: adminUrl,
      colorScheme: theme,
      viewport: { width, height: HEIGHT_PX },
      permissions: ["clipboard-read", "clipboard-write"],
    });
    this.#contexts.push(context);
    context.setDefaultTimeout(STEP_MAX_MS);
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (isForeign || LOCAL.has(url.protocol) || url.origin === new URL(adminUrl).origin) return;
      figures.foreignRequests += 1;
      this.errors.push(`a request to another host: ${url.href}`);
    });
    await signIn(context, relay ?? world.relay, as);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.errors.push(`an error of the page: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error" && !isForeign && !EXPECTED.test(message.text())) this.errors.push(message.text());
    });
    if (at !== undefined) await page.goto(at);
    return page;
  }

  async picture(path: string): Promise<void> {
    const page = this.#contexts.at(-1)?.pages().at(-1);
    await page?.screenshot({ path }).catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all(this.#contexts.map((context) => context.close()));
  }
}

/** A session is made once for each relay and role: a relay keeps a hundred. */
const sessions = new Map<string, Awaited<ReturnType<BrowserContext["cookies"]>>>();

async function signIn(context: BrowserContext, relay: AnyRelay, role: Role): Promise<void> {
  if (role === "nobody") return;
  const name = `${relay.directory} ${role}`;
  const known = sessions.get(name);
  if (known !== undefined) return context.addCookies(known);
  const token = role === "full" ? TOKEN : READ_ONLY_TOKEN;
  const answer = await context.request.post(`${relay.adminUrl}/v1/session`, {
    data: { token },
    headers: { origin: relay.adminUrl },
  });
  check(answer.ok(), `signing in is answered ${answer.status()}`);
  sessions.set(name, await context.cookies());
}

async function axe(page: Page, view: string, figures: Figures): Promise<void> {
  await page.evaluate(axeCore.source);
  const { violations } = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { readonly axe: { run(options: object): Promise<AxeResult> } };
    return axe.run({ resultTypes: ["violations"] });
  });
  figures.views.add(view);
  figures.axeViolations += violations.length;
  const [first] = violations;
  if (first === undefined) return;
  const [node] = first.nodes;
  throw new Broken(`${view}: axe finds ${first.id} in ${node?.html.slice(0, 160)}: ${node?.failureSummary ?? ""}`);
}

function textOf(error: unknown): string {
  if (error instanceof Broken) return error.message;
  if (!(error instanceof Error)) return String(error);
  // A call log of playwright has what it waited for in its first lines, the flow is in the stack.
  const at =
    (error.stack ?? "")
      .split("\n")
      .find((line) => line.includes("/flows/"))
      ?.trim() ?? "";
  return `${error.message.split("\n").slice(0, 4).join(" ").trim()} ${at}`;
}
