import { expect, test } from "vitest";
import {
  age,
  duration,
  exactUtc,
  fromLocalInput,
  localTime,
  preciseTime,
  remaining,
  toLocalInput,
} from "../../src/format/times.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOON = Date.UTC(2026, 10, 22, 12);

test("durations have at most two units", () => {
  expect(duration(0.5)).toBe("0.5 ms");
  expect(duration(350.4)).toBe("350 ms");
  expect(duration(1_250)).toBe("1.2 s");
  expect(duration(59_999)).toBe("59 s");
  expect(duration(4 * MINUTE + 10_000)).toBe("4 min 10 s");
  expect(duration(3 * HOUR + 12 * MINUTE + 5_000)).toBe("3 h 12 min");
  expect(duration(2 * DAY)).toBe("2 d");
});

test("ages and what remains have the unit that matters", () => {
  expect(age(NOON - 500, NOON)).toBe("now");
  // A clock that is ahead of ours.
  expect(age(NOON + 5_000, NOON)).toBe("now");
  expect(age(NOON - 12_000, NOON)).toBe("12 s ago");
  expect(age(NOON - 4 * MINUTE, NOON)).toBe("4 min ago");
  expect(age(NOON - 3 * DAY, NOON)).toBe("3 d ago");
  expect(remaining(NOON - 1, NOON)).toBe("now");
  expect(remaining(NOON + 4 * HOUR + 10 * MINUTE + 3_000, NOON)).toBe("in 4 h 10 min");
  expect(remaining(NOON + 29 * DAY + 10 * HOUR, NOON)).toBe("in 29 d");
});

test("times are in the reader's zone, with the day unless it is today, and the title has exact UTC", () => {
  expect(localTime(NOON, NOON, "UTC")).toBe("12:00:00");
  expect(localTime(NOON, NOON, "Asia/Tokyo")).toBe("21:00:00");
  expect(localTime(NOON - DAY, NOON, "UTC")).toBe("21 Nov 2026, 12:00:00");
  expect(preciseTime(NOON + 45, NOON, "UTC")).toBe("12:00:00.045");
  expect(exactUtc(NOON + 123)).toBe("2026-11-22T12:00:00.123Z");
  expect(exactUtc(Number.NaN)).toBe("");
});

test("what is put in as local time comes back as the same instant", () => {
  const iso = "2026-11-22T02:59:23.000Z";
  expect(fromLocalInput(toLocalInput(iso))).toBe(iso);
  expect(toLocalInput("not a time")).toBe("");
  expect(fromLocalInput("")).toBe("");
});
