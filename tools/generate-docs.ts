/**
 * Writes the pages that follow from the code: `npm run docs`. A test fails when one of them is not
 * current.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ERROR_CODES } from "@waybill/core";
import { ADAPTERS } from "@waybill/vendors/registry";
import { adminPage } from "./admin-page.ts";
import { configPage, configSchemaText } from "./config-page.ts";
import { conformancePage } from "./conformance.ts";
import { logsPage } from "./logs-page.ts";
import { dashboardText } from "./metrics/dashboard.ts";
import { sizingPage } from "./sizing-page.ts";

export const PAGES: Readonly<Record<string, () => string>> = {
  "docs/errors.md": errorsPage,
  "docs/operating/admin-api.md": adminPage,
  "docs/operating/config.md": configPage,
  "docs/operating/sizing.md": sizingPage,
  "docs/operating/logs.md": logsPage,
  "packages/relay/config.schema.json": configSchemaText,
  "docs/conformance.md": conformancePage,
  "docs/guide/vendors.md": vendorsPage,
  "docs/adr/README.md": decisionsPage,
  "deploy/grafana/waybill.json": dashboardText,
};

export function pathOf(page: string): string {
  return fileURLToPath(new URL(`../${page}`, import.meta.url));
}

function errorsPage(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return [
    "# Error codes",
    "",
    "Every error of Waybill is a `WaybillError` with one of these in `code`, and `retryable`, `retryAfterMs`, `reason`, `hint` and `cause` where they apply.",
    "",
    "| code | meaning |",
    "|---|---|",
    ...rows,
    "",
  ].join("\n");
}

function decisionsPage(): string {
  const rows = readdirSync(pathOf("docs/adr"))
    .filter((name) => /^\d/.test(name))
    .toSorted()
    .map((name) => {
      const [, number, title] = /^# (\d+)\. (.*)$/m.exec(readFileSync(pathOf(`docs/adr/${name}`), "utf8")) ?? [];
      if (title === undefined) throw new Error(`${name}: its first line is not "# <number>. <title>"`);
      return `| ${number} | [${title}](${name}) |`;
    });
  return [
    "# Decisions",
    "",
    "Each page has one decision that is hard to reverse: the context, what was decided, what was rejected",
    "and why, and what follows. A decision is changed by a new page, not by an edit of the old one. This",
    "table is written by `npm run docs`.",
    "",
    "| number | decision |",
    "|---|---|",
    ...rows,
    "",
  ].join("\n");
}

/**
 * The table is above each vendor's mapping in the code; a vendor without one takes canonical events
 * as they are.
 */
function vendorsPage(): string {
  const sections = ADAPTERS.flatMap(({ name, title }) => {
    const source = readFileSync(pathOf(`packages/vendors/src/${name}/canonical.ts`), "utf8");
    const comment = /\/\*\*\n( \* \| canonical \| \w+ \|\n[\s\S]*?) \*\//.exec(source);
    if (comment === null) return [];
    const text = (comment[1] as string).replaceAll(/^ \* ?/gm, "").trimEnd();
    const client = `packages/client/src/${name}/destination.ts`;
    const where = existsSync(pathOf(client)) ? `\`import { ${name} } from "waybill/${name}"\`` : AT_THE_RELAY;
    return [`## ${title}\n\n${where}\n\n${text}\n`];
  });
  return [
    "# One client, many vendors",
    "",
    "```ts",
    'import { createClient } from "waybill";',
    'import { letter } from "waybill/letter";',
    'import { trophy } from "waybill/trophy";',
    "",
    "const client = createClient({",
    "  destinations: [",
    '    letter({ apiKey, events: { Debug: false, Bought: "Order Completed" } }),',
    '    trophy({ apiKey, metrics: { Bought: { metric: "orders", value: "total" } } }),',
    "  ],",
    "});",
    'client.track({ userId: "u1", event: "Bought", properties: { total: 42 } });',
    "```",
    "",
    "Each vendor has a queue, retries and a ledger of its own: one that is down delays no other. What a vendor has no equivalent for is counted as `dropped` with the reason",
    "`unsupported`; what `events` leaves out, or an event's `integrations` excludes, with `filtered`; `onDrop` is called for both. The tables below are the defaults. `events` replaces them by name: of a track",
    "event, or `$identify`, `$group`, `$page`, `$screen`, `$alias` for all events of a type. A value is another name, `false` to leave the event out, or a pure function from the event to the vendor's own",
    "(`undefined` leaves it out); one that throws makes the event a dead letter, reported to `onDrop` as `rejected`.",
    "",
    ...sections,
  ].join("\n");
}

/** Of a vendor that has no client here. */
const AT_THE_RELAY = "At the relay alone: as a source for the vendor's own SDKs, and as a destination.";

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [page, make] of Object.entries(PAGES)) if (read(page) !== make()) writeFileSync(pathOf(page), make());

function read(page: string): string {
  try {
    return readFileSync(pathOf(page), "utf8");
  } catch {
    return "";
  }
}
