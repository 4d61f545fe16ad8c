/** What operators' pages name is there: commands, metrics, problems, what adapters do. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { run } from "@waybill/cli";
import { createLogger, loadConfig, startRelay } from "@waybill/relay";
import { ADAPTERS } from "@waybill/vendors/registry";
import { expect, onTestFinished, test } from "vitest";
import { pathOf } from "./generate-docs.ts";

const read = (page: string): string => readFileSync(pathOf(page), "utf8");
const PAGES = ["operating", "guide"].flatMap((folder) =>
  readdirSync(pathOf(`docs/${folder}`))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${folder}/${name}`),
);

test("the table of duplicates has each destination, and what its adapter has", () => {
  const [, table = ""] = read("docs/guide/order-and-duplicates.md").split("| destination | knows a duplicate by |");
  const rows = [...(table.split("\n\n")[0] as string).matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)];
  const written = rows.map(([, name = "", by = ""]) => [name.replaceAll("`", ""), kindOf(by)] as const);
  const adapters = ADAPTERS.map(({ title, knowsDuplicatesBy }) => [title, knowsDuplicatesBy] as const);
  const own = [
    ["http", "batch"],
    ["file", "nothing"],
  ] as const;
  expect(Object.fromEntries(written)).toEqual(Object.fromEntries([...adapters, ...own]));
  expect(written).toHaveLength(adapters.length + own.length);
});

function kindOf(text: string): string {
  if (text === "nothing") return "nothing";
  return /of the (?:request|payload)/.test(text) ? "batch" : "event";
}

test("each problem that a relay reports is in the page for outages, and no other", () => {
  const source = ["problems", "lane-problems"].map((name) => read(`packages/relay/src/admin/${name}.ts`)).join("\n");
  const codes = new Set([...source.matchAll(/\b([a-z]+(?:_[a-z]+)+)(?:"|: \{)/g)].map(([, code]) => code as string));
  expect(codes.size).toBeGreaterThan(15);
  // Nobody has to act on it.
  codes.delete("stopping");
  const named = [...read("docs/operating/outage.md").matchAll(/`([a-z]+(?:_[a-z]+)+)`/g)].map(([, code]) => code);
  expect(new Set(named.filter((code) => !code?.startsWith("waybill_")))).toEqual(codes);
});

test("each metric that a page names is one of a relay's", async () => {
  const directory = mkdtempSync(join(tmpdir(), "waybill-pages-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const text = `{ listen: "127.0.0.1:0", admin: { listen: "127.0.0.1:0" }, dataDirectory: "${directory}", environments: { e: { sources: { s: { protocol: segment, writeKeys: [k] } }, destinations: { d: { vendor: file, path: "${directory}/events" } } } } }`;
  const relay = await startRelay(loadConfig({ file: "f", text, env: {} }), { logger: createLogger("silent") });
  onTestFinished(() => relay.stop());
  const metrics = await (await fetch(`${relay.adminUrl}/metrics`)).text();
  const known = new Set([...metrics.matchAll(/^# HELP (\S+) /gm)].map(([, name]) => name as string));
  // Of a log on Kafka.
  const ofClusters = read("packages/relay/src/admin/metrics/cluster-tables.ts");
  for (const [, name] of ofClusters.matchAll(/name: "(waybill_\w+)"/g)) known.add(name as string);
  // Of ports that speak TLS; the name of a cookie.
  const named = PAGES.flatMap((page) =>
    [...read(page).matchAll(/\bwaybill_(?!tls_|session)[a-z_]+/g)].map(([name]) => ({ page, name })),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(({ name }) => !known.has(name))).toEqual([]);
});

test("each command and option that a page names is one of the command's", async () => {
  const named = PAGES.filter((page) => !page.endsWith("tutorial.md")).flatMap((page) =>
    [...read(page).matchAll(/`waybill ([a-z][^`]*)`/g)].map(([, call]) => ({
      page,
      call: (call as string).replaceAll(/\s+/g, " "),
    })),
  );
  expect(named.length).toBeGreaterThan(30);
  const helps = new Map<string, string | undefined>();
  const wrong: string[] = [];
  for (const { page, call } of named) {
    const path = /^(?:[a-z][a-z-]*(?: |$))+/.exec(call)?.[0].trim().split(" ") ?? [];
    const help = await helpOf(path, helps);
    const options = [...call.matchAll(/ (--[a-z-]+)/g)].map(([, option]) => option as string);
    const missing = options.filter((option) => help?.includes(option) !== true);
    if (help === undefined || missing.length > 0) wrong.push(`${page}: waybill ${call} ${missing.join(" ")}`);
  }
  expect(wrong).toEqual([]);
});

/** `undefined` where there is no such command. */
async function helpOf(path: readonly string[], known: Map<string, string | undefined>): Promise<string | undefined> {
  const name = path.join(" ");
  if (known.has(name)) return known.get(name);
  const out = new PassThrough();
  const nothing = (): void => undefined;
  const code = await run(["node", "waybill", ...path, "--help"], {
    out: out as unknown as NodeJS.WriteStream,
    err: new PassThrough().resume() as unknown as NodeJS.WriteStream,
    env: {},
    self: "waybill",
    onStop: nothing,
    onReload: nothing,
    onGone: nothing,
  });
  const text = String(out.read() ?? "");
  const help = code === 0 && text.includes(`Usage: waybill ${name}`) ? text : undefined;
  known.set(name, help);
  return help;
}
