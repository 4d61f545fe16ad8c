/** Messages of a stream are passed on whole, however their bytes come. */
import { nodeClock } from "@waybill/node";
import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { notSilent, wholeMessages } from "../../../src/admin/cluster/peer-chunks.ts";

async function* cut(bytes: Buffer, random: SeededRandom): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; ) {
    const end = start + 1 + Math.floor(random.next() * 7);
    yield bytes.subarray(start, end);
    start = end;
  }
}

test.each(Array.from({ length: 50 }, (_, seed) => seed))("messages are whole with seed %i", async (seed) => {
  const random = new SeededRandom(seed);
  const messages = Array.from({ length: 20 }, (_, index) => `event: é\ndata: ${"x".repeat(index % 6)}\n\n`);
  const bytes = Buffer.from(`${messages.join("")}data: not the end\n`);
  let text = "";
  for await (const passed of wholeMessages(cut(bytes, random))) {
    expect(passed.toString()).toMatch(/^(?:event: é\ndata: x*\n\n)+$/);
    text += passed.toString();
  }
  expect(text).toBe(messages.join(""));
});

test("a source that is left is closed", async () => {
  let isClosed = false;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield Buffer.from("x\n");
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of notSilent(chunks(), nodeClock, 1_000)) break;
  expect(isClosed).toBe(true);
});
