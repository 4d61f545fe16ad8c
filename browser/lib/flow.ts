/** What a flow is, and what it gets. */
import type { Page } from "playwright-core";
import type { AnyRelay } from "./relay.ts";
import type { World } from "./world.ts";

export type Role = "full" | "readOnly" | "nobody";
export type Theme = "light" | "dark";

export interface OpenOptions {
  /** Default: the world's. */
  readonly relay?: AnyRelay;
  /** Default: `full`, with the cookie already there. */
  readonly as?: Role;
  /** Default: 1440. */
  readonly width?: number;
  /** Default: light. */
  readonly theme?: Theme;
  /** The tab visits other sites, whose requests are not the page's. Default: false. */
  readonly isForeign?: boolean;
  /** The path to open. Default: none, the page is empty. */
  readonly at?: string;
}

/** What the flows have measured; each is absent until its flow has run. */
export interface Figures {
  /** Names of the views that axe has looked at. */
  readonly views: Set<string>;
  axeViolations: number;
  foreignRequests: number;
  firstPaintMs: number | undefined;
  liveUpdateMs: number | undefined;
}

export interface Stage {
  readonly world: World;
  readonly figures: Figures;
  /** A tab of its own, closed after the flow. Errors of its scripts fail the flow. */
  readonly open: (options?: OpenOptions) => Promise<Page>;
  /** Runs axe; a violation fails the flow, and is counted. */
  readonly axe: (page: Page, view: string) => Promise<void>;
  /** Shown beside the flow's name, such as what was measured. */
  readonly note: (text: string) => void;
  /** Runs after the flow, however it ends. */
  readonly after: (work: () => Promise<void>) => void;
}

export interface Flow {
  readonly name: string;
  /**
   * Flows of a group run one after another, and beside those of other groups: they measure nothing,
   * and change nothing that those look at. Default: it runs alone, after them.
   */
  readonly group?: string;
  readonly run: (stage: Stage) => Promise<void>;
}
