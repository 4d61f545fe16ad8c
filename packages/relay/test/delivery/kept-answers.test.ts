import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { KeptAnswers } from "../../src/delivery/kept-answers.ts";

const answer = (body: string): { status: number; headers: Record<string, string>; body: string } => ({
  status: 200,
  headers: {},
  body,
});

function keptAt(clock = new VirtualClock()): KeptAnswers {
  return new KeptAnswers(clock);
}

test("an answer is given once, and the last one of a key counts", () => {
  const kept = keptAt();
  kept.keep("a", answer("1"));
  kept.keep("a", answer("2"));
  expect(kept.take("a")?.body).toBe("2");
  expect(kept.take("a")).toBeUndefined();
});

test("the oldest go when there are more than a thousand", () => {
  const kept = keptAt();
  for (let index = 0; index < 1_001; index++) kept.keep(`${index}`, answer("x"));
  expect(kept.take("0")).toBeUndefined();
  expect(kept.take("1")?.body).toBe("x");
  expect(kept.take("1000")?.body).toBe("x");
});

test("the oldest go when there are more than 4 MiB, and room comes back", () => {
  const kept = keptAt();
  const megabyte = "x".repeat(512 * 1024);
  for (let round = 0; round < 3; round++) {
    for (let index = 0; index < 5; index++) kept.keep(`${index}`, answer(megabyte));
    expect(kept.take("0")).toBeUndefined();
    for (let index = 1; index < 5; index++) expect(kept.take(`${index}`)?.body).toHaveLength(512 * 1024);
  }
  kept.keep("small", answer("x"));
  kept.keep("large", answer(megabyte.repeat(5)));
  expect([kept.take("small"), kept.take("large")]).toEqual([undefined, undefined]);
});

test("an answer is kept for 30 s", async () => {
  const clock = new VirtualClock();
  const kept = keptAt(clock);
  kept.keep("a", answer("1"));
  kept.keep("b", answer("2"));
  await clock.advance(30_000);
  expect(kept.take("a")?.body).toBe("1");
  await clock.advance(1);
  expect(kept.take("b")).toBeUndefined();
});
