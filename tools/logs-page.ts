/** The page of the relay's log lines, from the table that it logs by. */
import { LOG_LINES } from "@waybill/relay";

const LEVELS = [
  ["error", "Events wait or are refused until somebody acts."],
  ["warn", "Look at it; nothing is refused for it now, or what is refused is a client's own."],
  ["info", "It happened; there is nothing to do."],
  ["debug", "Only with `log.level: debug`."],
] as const;

export function logsPage(): string {
  return [
    ...HEAD,
    ...LEVELS.flatMap(([level, means]) => ["", `## ${level}`, "", means, "", ...rowsOf(level)]),
    "",
  ].join("\n");
}

const HEAD = [
  "# Log lines of the relay",
  "",
  "The relay writes one JSON object a line to standard output. This page is made from the table that",
  "it logs by (`packages/relay/src/log-lines/lines.ts`), so it has every line there is.",
  "",
  "```json",
  '{"level":"warn","time":"2026-11-22T09:31:06.217Z","code":"lane_waiting","environment":"production",',
  ' "destination":"crm","reason":"503","count":1,"hint":"…","msg":"destination waits before its next attempt"}',
  "```",
  "",
  "| field | meaning |",
  "|---|---|",
  "| `level` | `error`, `warn`, `info` or `debug`; `log.level` says from which one on lines are written |",
  "| `time` | ISO 8601, UTC |",
  "| `code` | which line it is: alert on this; it does not change, texts may |",
  "| `msg` | the text |",
  "| `hint` | of a warning or an error: what to do |",
  "| `count`, `seconds` | of a line that may come in floods: how often, within how many seconds |",
  "| others | names of the configuration, numbers, and texts of the relay's own |",
  "",
  "**Floods.** What may happen with every request or event (refused keys, clients over their rate, dead",
  "letters, a destination that is down) is written when it begins, and from then on a line a minute",
  "with the number since the line before. The first line has no `seconds`.",
  "",
  "**What is never in a line.** Keys and tokens; events and their headers; paths and queries of",
  "requests; what a vendor answered, as answers quote events and keys. Of an answer the line has its",
  "status (`reason`), of a dead letter its kind (`reasons`: a status, or `too_old`, `poison`,",
  "`too_large`, `unencodable`, `order_key`, `unknown_outcome`, `refused`), of a defect its kind and",
  "where it was thrown. The vendor's own answer is on the page, in the admin API and in",
  "`waybill dead-letters list`, which need the token.",
  "",
  "Addresses of clients are not logged. Traces of single requests are [tracing](tracing.md)'s.",
];

function rowsOf(level: string): readonly string[] {
  const lines = Object.entries(LOG_LINES).filter(([, line]) => line.level === level);
  return [
    "| code | text | fields | what to do |",
    "|---|---|---|---|",
    ...lines.map(([code, { text, act, fields }]) => {
      const names = fields.map((name) => `\`${name}\``).join(" ");
      return `| \`${code}\` | ${text} | ${names} | ${act || "nothing"} |`;
    }),
  ];
}
