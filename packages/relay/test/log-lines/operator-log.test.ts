import type { Attempt } from "@waybill/core";
import { WaybillError } from "@waybill/core";
import { BrokerError } from "@waybill/log-kafka";
import { VirtualClock } from "@waybill/testing";
import { describe, expect, test } from "vitest";
import { LOG_LINES } from "../../src/log-lines/lines.ts";
import { OperatorLog } from "../../src/log-lines/operator-log.ts";
import { safeError } from "../../src/log-lines/safe-text.ts";
import { SUMMARY_EVERY_MS } from "../../src/log-lines/summaries.ts";
import { createLogger } from "../../src/logger.ts";

const LANE = { environment: "prod", destination: "crm" };
const APP = { environment: "prod", source: "app", vendor: "segment" };
const NOBODY = { environment: "", source: "", vendor: "segment" };
const DELIVERED = { delivered: 1 } as Attempt;

interface Line extends Record<string, unknown> {
  readonly code: keyof typeof LOG_LINES;
}

function logged(): { readonly log: OperatorLog; readonly clock: VirtualClock; readonly lines: Line[] } {
  const lines: Line[] = [];
  const clock = new VirtualClock();
  const logger = createLogger("info", { write: (line) => void lines.push(JSON.parse(line) as Line) });
  return { log: new OperatorLog(logger, clock), clock, lines };
}

const minute = (clock: VirtualClock): Promise<void> => clock.advance(SUMMARY_EVERY_MS);

test("of an error of a broker a line has what was asked for and what is wrong", () => {
  const { log, lines } = logged();
  for (const error of [new BrokerError("fenced", "commit to lanes"), new TypeError("secret")])
    log.write("lane_fenced", { ...LANE, partition: 1, error: safeError(error) });
  expect(lines.map(({ error }) => error)).toEqual(["commit to lanes", "TypeError"]);
});

test("a line has its code, its level as a word, an ISO time, its fields, and what to do", () => {
  const { log, lines } = logged();
  log.write("lane_paused", { ...LANE, by: "admin" });
  expect(lines).toEqual([
    {
      level: "warn",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      code: "lane_paused",
      ...LANE,
      by: "admin",
      hint: LOG_LINES.lane_paused.act,
      msg: "the lane is paused; its events are kept",
    },
  ]);
});

test("each warning and each error tells what to do; what only happened has nothing to do", () => {
  for (const [code, { level, act, text }] of Object.entries(LOG_LINES)) {
    expect([code, act !== ""]).toEqual([code, level === "warn" || level === "error"]);
    expect(text).not.toBe("");
  }
});

test("refused keys are logged at once, then a line a minute with their number, by source and vendor", async () => {
  const { log, clock, lines } = logged();
  const refuse = (of: object): void => log.refused({ ...NOBODY, code: "unauthorized", ...of });
  for (let index = 0; index < 1_000; index++) refuse({});
  refuse(APP);
  expect(lines).toMatchObject([
    { code: "keys_refused", source: "", vendor: "segment", count: 1 },
    { code: "keys_refused", environment: "prod", source: "app", count: 1 },
  ]);
  expect(lines[0]).not.toHaveProperty("seconds");
  await minute(clock);
  expect(lines.slice(2)).toMatchObject([{ code: "keys_refused", source: "", count: 999, seconds: 60 }]);
  await minute(clock);
  expect(lines).toHaveLength(3);
  refuse({});
  expect(lines.at(-1)).toMatchObject({ code: "keys_refused", count: 1 });
});

test("a thousand dead letters are a line with their number and what was answered, then a line a minute", async () => {
  const { log, clock, lines } = logged();
  const reasons = ["400 bad CONTENT", "413 large", "poison: 500 CONTENT", "too_old: it was received", "CONTENT: no"];
  for (let index = 0; index < 1_000; index++) log.deadLetter({ ...LANE, reason: reasons[index % 5] as string });
  expect(lines).toEqual([]);
  await clock.advance(1_000);
  const kinds = { 400: 200, 413: 200, poison: 200, too_old: 200, refused: 200 };
  expect(lines).toMatchObject([{ level: "warn", code: "dead_letters", ...LANE, count: 1_000, reasons: kinds }]);
  log.deadLetter({ ...LANE, reason: "400 again" });
  await minute(clock);
  expect(lines).toMatchObject([{}, { code: "dead_letters", count: 1, reasons: { 400: 1 }, seconds: 60 }]);
  await minute(clock);
  expect(lines).toHaveLength(2);
});

describe("a lane", () => {
  test("that is halted is an error with the status, again only once a minute while it is tried, and logged when it delivers", async () => {
    const { log, clock, lines } = logged();
    const halt = (): void => log.mode({ ...LANE, mode: "halted", reason: "401 CONTENT" });
    halt();
    expect(lines).toMatchObject([{ level: "error", code: "lane_halted", reason: "401", count: 1 }]);
    for (let probe = 0; probe < 2; probe++) {
      await clock.advance(SUMMARY_EVERY_MS / 2 - 1);
      log.mode({ ...LANE, mode: "sending", reason: undefined });
      halt();
    }
    expect(lines).toHaveLength(1);
    await clock.advance(2);
    expect(lines.slice(1)).toMatchObject([{ code: "lane_halted", count: 2, seconds: 60 }]);
    log.attempted({ ...LANE, attempt: DELIVERED });
    expect(lines.slice(2)).toMatchObject([{ level: "info", code: "lane_resumed", after: "halted" }]);
    halt();
    expect(lines.at(-1)).toMatchObject({ code: "lane_halted", count: 1 });
  });

  test("that no request reaches, and one with a defect, have lines of their own; a replay's names the replay", () => {
    const { log, lines } = logged();
    const reason = "no answer from https://crm.test: the proxy http://proxy:1 answered 407";
    log.mode({ ...LANE, mode: "halted", reason, unanswered: true });
    log.mode({ ...LANE, mode: "failed", reason: "Unexpected token CONTENT" });
    log.mode({ ...LANE, destination: "crm/replay-1", mode: "failed", reason: "broken invariant: one outcome" });
    expect(lines).toMatchObject([
      { code: "lane_unreachable", reason },
      { code: "lane_failed", ...LANE },
      { code: "replay_failed", environment: "prod", replay: "1", reason: "broken invariant: one outcome" },
    ]);
    expect(lines[1]).not.toHaveProperty("reason");
  });

  test("that waits is logged at once and once a minute, and when its destination takes events again", async () => {
    const { log, clock, lines } = logged();
    const wait = (): void => log.mode({ ...LANE, mode: "waiting", reason: "503 CONTENT" });
    wait();
    await clock.advance(10_000);
    wait();
    expect(lines).toMatchObject([{ level: "warn", code: "lane_waiting", reason: "503", count: 1 }]);
    log.attempted({ ...LANE, attempt: { delivered: 0 } as Attempt });
    log.attempted({ ...LANE, attempt: DELIVERED });
    log.attempted({ ...LANE, attempt: DELIVERED });
    await minute(clock);
    expect(lines.slice(1)).toMatchObject([{ level: "info", code: "lane_answers", waitedMs: 10_000 }]);
  });

  test("that is paused and resumed is logged both times, with who did it", () => {
    const { log, lines } = logged();
    for (const mode of ["paused", "idle", "sending", "idle"]) log.mode({ ...LANE, mode, reason: undefined });
    expect(lines).toMatchObject([
      { code: "lane_paused", by: "admin" },
      { code: "lane_resumed", after: "paused" },
    ]);
    expect(lines).toHaveLength(2);
  });
});

test("clients over their rate, a full disk and too many bodies are counted by code, apart from each other", async () => {
  const { log, clock, lines } = logged();
  for (const code of ["rate_limited", "share_exceeded", "disk", "log_full", "overloaded", "invalid"])
    for (let index = 0; index < 3; index++) log.refused({ ...APP, code });
  expect(lines).toMatchObject([
    { level: "warn", code: "clients_limited", environment: "prod", source: "app", refusals: { rate_limited: 1 } },
    { level: "error", code: "storage_refused", environment: "prod", source: "app", refusals: { disk: 1 } },
    { level: "error", code: "intake_overloaded", count: 1 },
  ]);
  await minute(clock);
  expect(lines.slice(3)).toMatchObject([
    { code: "clients_limited", count: 5, refusals: { rate_limited: 2, share_exceeded: 3 } },
    { code: "storage_refused", count: 5, refusals: { disk: 2, log_full: 3 } },
    { code: "intake_overloaded", count: 2 },
  ]);
});

test("of a defect the log has its kind and where it was thrown, never its message", () => {
  const { log, lines } = logged();
  const parse = (text: string): unknown => JSON.parse(text);
  try {
    parse("CONTENT");
  } catch (error) {
    log.requestFailed(error);
  }
  expect(lines).toMatchObject([{ code: "request_failed", error: "SyntaxError", count: 1 }]);
  expect(lines[0]?.["at"]).toContainEqual(expect.stringContaining("operator-log.test.ts"));
  log.requestFailed("CONTENT");
  log.requestFailed(Object.assign(new Error("CONTENT"), { name: "CONTENT 2", stack: "CONTENT\nat CONTENT" }));
  log.requestFailed(new WaybillError("WAYBILL_EVENT", "CONTENT"));
  expect(JSON.stringify(lines)).not.toContain("CONTENT");
  log.cursorNotWritten({ ...LANE, error: new WaybillError("WAYBILL_DISK", "Cannot write /data: ENOSPC") });
  expect(lines.at(-1)).toMatchObject({ code: "cursor_not_written", error: "Cannot write /data: ENOSPC" });
});

test("what was counted is written when the relay stops", async () => {
  const { log, clock, lines } = logged();
  for (let index = 0; index < 3; index++) log.expired({ ...LANE, events: 10 });
  log.close();
  expect(lines).toMatchObject([{ level: "error", code: "events_expired", count: 30 }]);
  await minute(clock);
  expect(lines).toHaveLength(1);
});
