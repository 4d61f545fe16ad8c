/** What the reader of a page would notice is noticed. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Reader } from "./page-runner/reader.ts";
import { isAsPrinted, stepsOf } from "./page-runner/steps.ts";

const block = (head: string, ...lines: readonly string[]): string => ["```" + head, ...lines, "```", ""].join("\n");

function follow(page: string): Promise<Reader> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-page-"));
  const reader = new Reader({ folder, env: process.env, replace: [["PORT", "4000"]] });
  onTestFinished(async () => {
    await reader.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return reader.follow(stepsOf(page)).then(() => reader);
}

test("the steps of a page are its commands, files and outputs, with their lines", () => {
  const page = ["# Page", "", block("sh", "ls"), block("yaml file=a.yaml", "a: 1"), block("text output", "x")].join(
    "\n",
  );
  expect(stepsOf(`${page}${block("sh example", "rm -rf /")}${block("yaml", "b: 2")}`)).toEqual([
    { kind: "run", text: "ls\n", line: 3 },
    { kind: "file", name: "a.yaml", text: "a: 1\n", line: 7 },
    { kind: "output", text: "x\n", line: 11 },
  ]);
});

test.each([
  ["a\nb", "a\nb", true],
  ["a\nb", "a", false],
  ["a\nb\nc", "a\n…\nc", true],
  ["a\nc", "a\n…\nc", true],
  ["a\nb", "…\nb", true],
  ["a\nb", "a\n…", true],
  ["took 12 ms", "took … ms", true],
  ["took 12 s", "took … ms", false],
  ["a      1", "a  1", true],
  ["a.b", "axb", false],
])("%j against the page's %j: %s", (printed, expected, same) => {
  expect(isAsPrinted(printed, expected)).toBe(same);
});

test("commands run in their order, each in the folder where the one before ended", async () => {
  const reader = await follow(
    block("sh", "mkdir in && cd in") +
      block("text file=x", "port PORT") +
      block("sh", "cat x") +
      block("text output", "port 4000"),
  );
  expect(readFileSync(join(reader.folder, "x"), "utf8")).toBe("port 4000\n");
});

test("a command that fails and output that is another name the line of the page", async () => {
  await expect(follow(block("sh", "true") + block("sh", "false"))).rejects.toThrow("line 4: exit code 1");
  await expect(follow(block("sh", "echo a") + block("text output", "b"))).rejects.toThrow("line 4: the page has\nb");
});

test("what comes later is waited for: of a command that runs on, and of one that is repeated", async () => {
  await follow(
    block("sh background", "echo begun; sleep 0.2; echo there; sleep 60") + block("text output", "begun", "there"),
  );
  await follow(block("sh again", "echo x >> tries; wc -l < tries") + block("text output", "3"));
});

test("a command that was to run on and ended is a failure", async () => {
  const page = block("sh background", "echo broken >&2") + block("text output", "ready");
  await expect(follow(page)).rejects.toThrow(/line 1: it ended[^]*broken/);
});
