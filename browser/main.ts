/**
 * `npm run -s page`: the page in Chromium, beside real relays in processes of their own whose
 * vendors are emulated here. A line for each flow as it ends, and with `--json-line` one JSON
 * object of figures as the last one. Exit 1 when a flow failed or a figure is beyond its bound;
 * exit 0 and the reason where there is no Chromium and none can be installed.
 */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { FLOWS } from "./flows/index.ts";
import { startChromium } from "./lib/chromium.ts";
import { beyond, figuresLine, gzipBytesOfPage, newFigures } from "./lib/figures.ts";
import type { Flow } from "./lib/flow.ts";
import { takeScreenshots } from "./lib/screenshots.ts";
import { type Ran, runFlow } from "./lib/stage.ts";
import { startWorld } from "./lib/world.ts";

const USAGE = `usage: npm run -s page -- [--only TEXT] [--json-line] [--screenshots] [--pictures FOLDER] [--list]

  --only TEXT        the flows whose name has TEXT; bounds of figures are then not looked at
  --json-line        figures as one JSON object in the last line
  --screenshots      writes the pictures of docs/guide/page.md instead of running the flows
  --pictures FOLDER  where a flow that fails leaves a picture of what it saw; with --screenshots
                     gets every view at 360 and 1440 px in both themes instead
  --list             names the flows, and runs none

Chromium is taken from WAYBILL_CHROMIUM or from the usual places. Where there is none, it is
installed: with apt-get as root, else into the user's cache; WAYBILL_NO_INSTALL=1 forbids both.
`;
const OPTIONS = {
  only: { type: "string", default: "" },
  "json-line": { type: "boolean", default: false },
  screenshots: { type: "boolean", default: false },
  pictures: { type: "string" },
  list: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;
const SECOND_MS = 1_000;

process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return write(USAGE, 0);
  const chosen = FLOWS.filter(({ name }) => name.includes(values.only));
  if (chosen.length === 0) return write(`no flow has ${values.only} in its name; see --list\n`, 2);
  if (values.list) return write(chosen.map(({ name }) => `${name}\n`).join(""), 0);
  const chromium = await startChromium((line) => void write(`${line}\n`, 0));
  if ("missing" in chromium) {
    const line = values["json-line"] ? `${JSON.stringify({ skipped: chromium.missing })}\n` : "";
    return write(`skipped: ${chromium.missing}\n${line}`, 0);
  }
  const { browser } = chromium;
  const world = await startWorld();
  if (values.pictures !== undefined) mkdirSync(values.pictures, { recursive: true });
  try {
    if (values.screenshots) return write(await takeScreenshots({ browser, world, pictures: values.pictures }), 0);
    const figures = newFigures();
    const startedAt = performance.now();
    const ran: Ran[] = [];
    const run = async (flow: Flow): Promise<void> => {
      const one = await runFlow(flow, { browser, world, figures, pictures: values.pictures });
      ran.push(one);
      write(lineOf(one), 0);
    };
    const runEach = async (group: string | undefined): Promise<void> => {
      for (const flow of chosen) if (flow.group === group) await run(flow);
    };
    const groups = new Set(chosen.flatMap(({ group }) => group ?? []));
    await Promise.all([...groups].map(runEach));
    await runEach(undefined);
    const passed = ran.filter(({ fault }) => fault === undefined).length;
    const gzipBytes = gzipBytesOfPage();
    const line = { ...figures, flows: ran.length, passed, gzipBytes };
    const faults = values.only === "" ? beyond(line) : [];
    const seconds = ((performance.now() - startedAt) / SECOND_MS).toFixed(1);
    write(`${passed} of ${ran.length} flows passed in ${seconds} s\n`, 0);
    for (const fault of faults) write(`beyond its bound: ${fault}\n`, 0);
    if (values["json-line"]) write(`${figuresLine(line)}\n`, 0);
    return passed === ran.length && faults.length === 0 ? 0 : 1;
  } finally {
    await browser.close();
    await world.close();
  }
}

function lineOf({ name, fault, notes, ms }: Ran): string {
  const noted = notes.length === 0 ? "" : `: ${notes.join(", ")}`;
  return `${fault === undefined ? "ok  " : "FAIL"} ${name} (${ms} ms)${noted}${fault === undefined ? "" : `\n     ${fault}`}\n`;
}

function write(text: string, code: number): number {
  process.stdout.write(text);
  return code;
}
