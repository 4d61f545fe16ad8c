/** What `waybill dev` prints: where to look, then the ledgers as they move. */
import type { Accounts, RunningRelay } from "@waybill/relay";
import { createLogUpdate } from "log-update";
import { accountTable } from "../account-table.ts";
import { type Io, say, sayJson, show } from "../io.ts";
import { terminalOf } from "../terminal/terminal.ts";
import { SOURCES } from "./sample-events.ts";
import { HABITS } from "./vendors.ts";

export interface DevView {
  /** The relay runs. */
  started(relay: RunningRelay): void;
  show(accounts: Accounts): void;
  /** One JSON line of the relay's logger. */
  log(line: string): void;
  end(accounts: Accounts): void;
}

/** What the relay warned of last, below the ledgers of a terminal. */
const NOTES_SHOWN = 3;

export function createDevView(
  io: Io,
  { json, forS }: { readonly json: boolean; readonly forS?: number | undefined },
): DevView {
  if (json) return jsonView(io);
  return io.out.isTTY === true ? terminalView(io, forS) : plainView(io, forS);
}

function jsonView(io: Io): DevView {
  return {
    started: ({ adminUrl, intakeUrl }) =>
      sayJson(io, {
        type: "started",
        page: pageOf(adminUrl),
        admin: adminUrl,
        intake: intakeUrl,
        writeKeys: Object.fromEntries(SOURCES.map(({ name, writeKey }) => [name, writeKey])),
      }),
    show: (accounts) => sayJson(io, { type: "accounts", ...accounts }),
    log: (line) => sayJson(io, { type: "log", ...fieldsOf(line) }),
    end: (accounts) => sayJson(io, { type: "ended", ...accounts }),
  };
}

function plainView(io: Io, forS: number | undefined): DevView {
  const noted = new Set<string>();
  return {
    started: (relay) => introduce(relay, io, forS),
    show: ({ lanes }) => say(io, lanes.map(plainLine).join(" | ")),
    log(line) {
      // The same outage comes again and again.
      const note = noteOf(line);
      if (noted.has(note)) return;
      noted.add(note);
      say(io, `note: ${note}`);
    },
    end: (accounts) => lastWords(accounts, io),
  };
}

function plainLine({ destination, mode, account }: Accounts["lanes"][number]): string {
  const { accepted, delivered, pending, rejected } = account;
  return `${destination}: accepted ${accepted} delivered ${delivered} pending ${pending} rejected ${rejected} (${mode})`;
}

function terminalView(io: Io, forS: number | undefined): DevView {
  const update = createLogUpdate(io.out);
  const notes: string[] = [];
  return {
    started: (relay) => introduce(relay, io, forS),
    show(accounts) {
      const terminal = terminalOf(io);
      const shown = notes.map((note) => terminal.paint(note.slice(0, terminal.columns), "quiet"));
      update([...accountTable(accounts, terminal), "", ...shown].join("\n"));
    },
    log(line) {
      notes.push(`${String(fieldsOf(line)["time"] ?? "").slice(11, 19)} ${noteOf(line)}`);
      if (notes.length > NOTES_SHOWN) notes.shift();
    },
    end(accounts) {
      update.done();
      lastWords(accounts, io);
    },
  };
}

function introduce({ adminUrl, intakeUrl, summary }: RunningRelay, io: Io, forS: number | undefined): void {
  const hasToken = io.env["WAYBILL_ADMIN_TOKEN"] !== undefined;
  const [{ writeKey }] = SOURCES;
  const lines = [
    `Open ${pageOf(adminUrl)} in a browser: what comes in, what waits and why, each event's story.`,
    ...(hasToken ? ["  (sign in with the token in WAYBILL_ADMIN_TOKEN)"] : []),
    "",
    summary,
    "",
    "Send an event of your own:",
    `  curl -u ${writeKey}: ${intakeUrl}/v1/track -d '{"userId":"me","event":"Hello"}'`,
    "See events as they are stored:",
    `  ${io.self} tail --admin ${adminUrl}`,
    ...(hasToken ? ["  (with WAYBILL_ADMIN_TOKEN set as it is here)"] : []),
    "",
    `To be watched: ${HABITS.join("; ")}. Ctrl-C ends${forS === undefined ? "" : `, or ${forS} s`}.`,
    "",
  ];
  for (const line of lines) say(io, line);
}

function lastWords(accounts: Accounts, io: Io): void {
  for (const line of ["", "The ledgers at the end:"]) say(io, line);
  show(io, accountTable(accounts, terminalOf(io)));
}

function pageOf(adminUrl: string): string {
  return `${adminUrl.replace(/\/+$/, "")}/`;
}

type Fields = Readonly<Record<string, unknown>>;

/** Of a line that the relay's logger wrote. */
function fieldsOf(line: string): Fields {
  try {
    return JSON.parse(line) as Fields;
  } catch {
    return { msg: line };
  }
}

function noteOf(line: string): string {
  const { destination, msg, reason } = fieldsOf(line);
  const where = typeof destination === "string" ? `${destination}: ` : "";
  return `${where}${String(msg)}${typeof reason === "string" ? ` (${reason})` : ""}`;
}
