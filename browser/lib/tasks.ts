/**
 * The longest tasks of the page's main thread. What counts is the time that a task had a processor,
 * from the browser's own trace: the time on the wall tells how busy the machine is too.
 */
import type { Page } from "playwright-core";
import { check } from "./check.ts";

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds, on the wall and on a processor. */
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

export interface LongestTask {
  readonly cpuMs: number;
  readonly wallMs: number;
}

const US_PER_MS = 1_000;
const MANY = 100;
const CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"];

/** During `work`: the most processor time, and the most time on the wall, of any task. */
export async function longestTask(page: Page, work: () => Promise<void>): Promise<LongestTask> {
  const browser = page.context().browser();
  if (browser === null) throw new Error("the tab has no browser");
  await browser.startTracing(page, { categories: CATEGORIES });
  let trace: Buffer;
  try {
    await work();
  } finally {
    trace = await browser.stopTracing();
  }
  const { traceEvents } = JSON.parse(trace.toString("utf8")) as { readonly traceEvents: readonly TraceEvent[] };
  const thread = ({ pid, tid }: TraceEvent): string => `${pid}:${tid}`;
  const mains = new Set(
    traceEvents.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain").map(thread),
  );
  const tasks = traceEvents.filter(
    (event) => event.ph === "X" && event.name.endsWith("RunTask") && mains.has(thread(event)),
  );
  // A trace without tasks would say that nothing is ever long.
  check(tasks.length > MANY, `the trace has ${tasks.length} tasks`);
  check(
    tasks.some(({ tdur = 0 }) => tdur > 0),
    "the trace has no processor times",
  );
  return {
    cpuMs: Math.round(Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / US_PER_MS),
    wallMs: Math.round(Math.max(...tasks.map(({ dur = 0 }) => dur)) / US_PER_MS),
  };
}
