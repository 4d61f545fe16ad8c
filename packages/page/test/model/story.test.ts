import { expect, test } from "vitest";
import type { AttemptView, TraceDestination } from "../../src/api/types.ts";
import { storyOf } from "../../src/model/story.ts";

const attempt = (fields: Partial<AttemptView>): AttemptView => ({
  first: 10,
  count: 4,
  atMs: 1_000,
  durationMs: 350,
  status: 200,
  delivered: 4,
  retryable: 0,
  rejected: 0,
  halted: 0,
  ...fields,
});
const destination = (fields: Partial<TraceDestination>): TraceDestination => ({
  destination: "a",
  outcome: "delivered",
  attempts: [],
  replays: [],
  ...fields,
});

test("an event that was retried has each attempt in order, then its fate", () => {
  const attempts = [
    attempt({ status: 503, delivered: 0, retryable: 4, reason: "unavailable" }),
    attempt({ atMs: 5_000 }),
  ];
  expect(storyOf(destination({ attempts }))).toEqual([
    { at: 1_000, title: "Attempt 1", detail: "status 503 after 350 ms, with 4 events: unavailable", tone: "warn" },
    { at: 5_000, title: "Attempt 2", detail: "status 200 after 350 ms, with 4 events", tone: "ok" },
    { at: 5_350, title: "Delivered", detail: "", tone: "ok" },
  ]);
});

test("one that was refused, kept as a dead letter and retried tells all of it", () => {
  const story = storyOf(
    destination({
      outcome: "rejected",
      reason: "400 no such user",
      attempts: [attempt({ status: 400, rejected: 1 })],
      deadLetter: { deadLetterId: 17, state: "retried", rejectedAtMs: 1_400 },
      replays: [{ replay: "r1", outcome: "delivered", attempts: [attempt({ atMs: 9_000 })] }],
      deliveredByRetryAtMs: 9_350,
    }),
  );
  expect(story.map(({ title }) => title)).toEqual([
    "Attempt 1",
    "Refused by the vendor for good",
    "Dead letter 17, retried",
    "Replay, attempt 1",
    "Delivered by a retry of its dead letter",
  ]);
});

test("one that waits has no time for what is still to come, and no answer is called so", () => {
  const { status: _status, ...unanswered } = attempt({ delivered: 0, retryable: 4 });
  const story = storyOf(destination({ outcome: "pending", reason: "paused", attempts: [unanswered] }));
  expect(story[0]?.detail).toBe("no answer after 350 ms, with 4 events");
  expect(story.at(-1)).toEqual({ at: undefined, title: "Waits to be delivered", detail: "paused", tone: "info" });
});
