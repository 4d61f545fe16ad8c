import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { openLog } from "@waybill/log";
import { nodeClock, nodeDisk } from "@waybill/node";
import { SegmentEmulator, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { createProgress } from "../src/progress.ts";
import { runHere, temporary } from "./lib/command.ts";

const BAR = /[█░]{24} +\d+ % {2}[\d,]+ events, [\d.,<]+\/s/;

test("a bar shows how many, how fast and how long, and other lines stay above it", () => {
  const err = Object.assign(new PassThrough(), { isTTY: true, columns: 100 });
  const io = { err } as never;
  const progress = createProgress(io, { total: 1_000, unit: "events" });
  progress.update(500, 1_234);
  progress.tell("a line with \u001b[2J in it");
  progress.stop();
  const written = String(err.read());
  expect(written).toMatch(/█{12}░{12} {2}50 % {2}1,234 events, [\d,]+\/s, \d+ s left/);
  expect(written).toContain("a line with \\u001b[2J in it\n");
  // The cursor and the wrapping of lines are left as they are: a process may end at any time.
  expect(written).not.toMatch(/\[\?(?:25|7)[lh]/);
});

test("send and log verify have a bar on a terminal, and nothing more than their result in a pipe", async () => {
  const emulator = new SegmentEmulator({ clock: nodeClock });
  const server = await startServer(emulator.handle);
  onTestFinished(() => server.close());
  const file = join(temporary(), "events.ndjson");
  writeFileSync(file, '{"type":"track","userId":"u","event":"E"}\n'.repeat(100));
  const send = ["send", file, "--url", server.url, "--write-key", "k"];
  const shown = await runHere(send, {}, {});
  expect(shown.err).toMatch(BAR);
  expect(shown.out).toMatch(/^sent 100 accepted 100 /);
  expect((await runHere(send)).err).toBe("");

  const directory = join(temporary(), "data/production/log");
  mkdirSync(directory, { recursive: true });
  const log = await openLog({ directory, segmentMaxBytes: 400 }, { disk: nodeDisk, clock: nodeClock });
  const body = [Buffer.from("{}")];
  for (let index = 0; index < 20; index++)
    await log.append({ source: "s", receivedAtMs: 1, metadata: "", body, ends: Uint32Array.of(2) });
  await log.close();
  const verified = await runHere(["log", "verify", directory], {}, {});
  expect(verified.err).toMatch(BAR);
  expect(verified.out).toContain("20 records, 20 events");
  expect(await runHere(["log", "verify", directory])).toMatchObject({ code: 0, err: "", out: verified.out });
  const { out } = await runHere(["log", "verify", directory, "--json"]);
  expect(JSON.parse(out)).toMatchObject({ whole: true, events: 20, damaged: [], lanes: [] });
});
