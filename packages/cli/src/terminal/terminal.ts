/**
 * How a command's output may look: colours only where it goes to a terminal (`NO_COLOR` and
 * `FORCE_COLOR` overrule that), lines cut only where a terminal has an edge. In a pipe: plain text.
 */
import { styleText } from "node:util";
import { printable } from "@waybill/core";

/** Text that is safe to print: nothing in it but our own colours steers the terminal. */
export type Painted = string & { readonly painted: unique symbol };

/** What a text is about; `plain` has no colour. */
export type Tone = "plain" | "good" | "warning" | "error" | "quiet" | "title";

export interface Terminal {
  /** Whether lines may be drawn over. */
  readonly isTerminal: boolean;
  /** Width of the terminal in characters; `undefined` in a pipe, where nothing is cut. */
  readonly columns: number | undefined;
  /** Makes `text` safe to print, then colours it. */
  readonly paint: (text: string, tone?: Tone) => Painted;
}

type Format = Parameters<typeof styleText>[0];

const FORMATS: Readonly<Record<Exclude<Tone, "plain">, Format>> = {
  good: "green",
  warning: "yellow",
  error: ["red", "bold"],
  quiet: "dim",
  title: "bold",
};
/** What comes before and after a text: looked up once, as a table has thousands of cells. */
const CODES = Object.fromEntries(
  Object.entries(FORMATS).map(([tone, format]) => [tone, codesOf(format)]),
) as unknown as Readonly<Record<keyof typeof FORMATS, readonly [before: string, after: string]>>;

function codesOf(format: Format): readonly [before: string, after: string] {
  // Whether there are colours is decided below, by the command's own environment.
  const [before = "", after = ""] = styleText(format, "|", { validateStream: false }).split("|");
  return [before, after];
}

/** Narrower than this, a terminal does not know its width. */
const COLUMNS_MIN = 20;
/** Of a terminal that does not tell its width. */
const COLUMNS_DEFAULT = 80;

/** A command's standard output and environment. */
interface Output {
  readonly out: Pick<NodeJS.WriteStream, "isTTY" | "columns">;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Of standard output. */
export function terminalOf({ out, env }: Output): Terminal {
  const isTerminal = out.isTTY === true;
  const columns = out.columns >= COLUMNS_MIN ? out.columns : COLUMNS_DEFAULT;
  return terminal({ isTerminal, columns: isTerminal ? columns : undefined, colours: hasColours(isTerminal, env) });
}

/** A pipe: no colours, nothing cut. */
export const PLAIN: Terminal = terminal({ isTerminal: false, columns: undefined, colours: false });

interface Looks {
  readonly isTerminal: boolean;
  readonly columns: number | undefined;
  readonly colours: boolean;
}

function terminal({ isTerminal, columns, colours }: Looks): Terminal {
  return {
    isTerminal,
    columns,
    paint: (text, tone = "plain") => {
      const safe = printable(text);
      if (!colours || tone === "plain" || safe === "") return safe as Painted;
      const [before, after] = CODES[tone];
      return `${before}${safe}${after}` as Painted;
    },
  };
}

/** As no-color.org has it, and Node: a forced colour comes before a refused one. */
function hasColours(isTerminal: boolean, env: Output["env"]): boolean {
  const forced = env["FORCE_COLOR"];
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  const refused = env["NO_COLOR"] ?? "";
  return isTerminal && refused === "" && env["TERM"] !== "dumb";
}

/** Several in one line. */
export function joined(parts: readonly Painted[], separator: " " | "  " | ", " | "" = " "): Painted {
  return parts.filter((part) => part !== "").join(separator) as Painted;
}
