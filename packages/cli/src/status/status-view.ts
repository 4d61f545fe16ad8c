import { nodeClock } from "@waybill/node";
import type { Overview } from "@waybill/relay";
import { createLogUpdate } from "log-update";
import { complain, type Io, sayJson, show } from "../io.ts";
import { joined, type Painted, type Terminal, terminalOf } from "../terminal/terminal.ts";
import { durationText } from "../terminal/units.ts";
import { wrapped } from "../terminal/widths.ts";
import { headline } from "./health.ts";
import { overviewLines, problemLines } from "./overview-lines.ts";

export interface StatusView {
  show(overview: Overview): void;
  /** The relay cannot be reached just now. */
  lost(reason: string): void;
  end(): void;
}

export interface ViewOptions {
  readonly admin: string;
  readonly json?: boolean;
}

export function createStatusView({ admin, json }: ViewOptions, io: Io): StatusView {
  if (json === true) return jsonView(admin, io);
  return io.out.isTTY === true ? terminalView(admin, io) : plainView(admin, io);
}

function jsonView(admin: string, io: Io): StatusView {
  let isLost = false;
  return {
    show(overview) {
      isLost = false;
      sayJson(io, overview);
    },
    lost(reason) {
      if (!isLost) complain(io, `unreachable: ${admin}: ${reason}; trying again`);
      isLost = true;
    },
    end: () => undefined,
  };
}

/** Ages go on while nothing else changes. */
const TICK_MS = 1_000;
const ROWS_DEFAULT = 24;

function terminalView(admin: string, io: Io): StatusView {
  const update = createLogUpdate(io.out);
  let last: { readonly overview: Overview; readonly at: number } | undefined;
  let reason: string | undefined;
  const draw = (): void => {
    const terminal = terminalOf(io);
    const since = last === undefined ? 0 : nodeClock.monotonic() - last.at;
    const lines =
      last === undefined
        ? []
        : overviewLines({ overview: last.overview, admin, now: last.overview.now + since }, terminal);
    const shown =
      reason === undefined
        ? lines
        : [...lostLines({ admin, reason, sinceMs: last && since }, terminal), "" as Painted, ...lines];
    update(fitted(shown, io.out.rows > 0 ? io.out.rows : ROWS_DEFAULT, terminal).join("\n"));
  };
  let timer = nodeClock.after(TICK_MS, tick, true);
  function tick(): void {
    draw();
    timer = nodeClock.after(TICK_MS, tick, true);
  }
  return {
    show(overview) {
      last = { overview, at: nodeClock.monotonic() };
      reason = undefined;
      draw();
    },
    lost(why) {
      reason = why;
      draw();
    },
    end() {
      timer.cancel();
      update.done();
    },
  };
}

interface Lost {
  readonly admin: string;
  readonly reason: string;
  /** How old what is shown below is; `undefined`: nothing is shown. */
  readonly sinceMs: number | undefined;
}

function lostLines({ admin, reason, sinceMs }: Lost, { paint, columns }: Terminal): readonly Painted[] {
  const age = sinceMs === undefined ? "" : `; what follows is ${durationText(sinceMs)} old`;
  const text = reason.includes(admin) ? reason : `${admin}: ${reason}`;
  const [first = "", ...rest] = wrapped(`unreachable: ${text}; trying again${age}`, columns);
  return [
    joined([paint("unreachable:", "error"), paint(first.slice("unreachable: ".length))]),
    ...rest.map((line) => paint(line)),
  ];
}

/** What is wrong is above: the end is what is left out where the terminal is too low. */
function fitted(lines: readonly Painted[], rows: number, { paint }: Terminal): readonly Painted[] {
  // The cursor has a line of its own.
  const most = rows - 1;
  if (lines.length <= most) return lines;
  const kept = lines.slice(0, Math.max(1, most - 1));
  return [...kept, paint(`… ${lines.length - kept.length} more lines; waybill lanes shows every lane`, "quiet")];
}

/** A paragraph for each change of what is wrong, with its time: a log of it. */
function plainView(admin: string, io: Io): StatusView {
  const terminal = terminalOf(io);
  let before: string | undefined;
  const tell = (key: string, lines: readonly Painted[]): void => {
    if (key === before) return;
    before = key;
    const [first = "" as Painted, ...rest] = lines;
    show(io, [joined([terminal.paint(new Date(nodeClock.now()).toISOString()), first]), ...rest]);
  };
  return {
    show(overview) {
      const key = overview.problems.map(({ code, environment, destination, source }) =>
        [code, environment, destination, source].join(" "),
      );
      const problems = overview.problems.flatMap((problem) => problemLines(problem, overview.now, terminal));
      tell(key.join("\n"), [headline(overview, terminal), ...problems]);
    },
    lost: (reason) => tell("unreachable", lostLines({ admin, reason, sinceMs: undefined }, terminal)),
    end: () => undefined,
  };
}
