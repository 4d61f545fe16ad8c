/** A tail of a cluster says what it does not show. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { runHere } from "./lib/command.ts";

async function tailing(text: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const EVENT = {
  environment: "production/3",
  source: "web",
  position: 17,
  receivedAtMs: 0,
  receipt: "production/3@9.1+1",
  event: { type: "track", event: "Seen", userId: "u", messageId: "m" },
};
const SEEN = `data: ${JSON.stringify(EVENT)}\n\n`;
const INTERRUPTED = 'event: interrupted\ndata: {"reason":"The relay two is missing."}\n\n';
const LINE = "1970-01-01T00:00:00.000Z production/3/web production/3@9.1+1 track Seen u m\n";

test("events of a cluster have their receipt, and what is not shown is named on standard error", async () => {
  const admin = await tailing(`: listening\n\n${SEEN}${INTERRUPTED}: still here\n\n${SEEN}`);
  const tailed = await runHere(["tail", "--admin", admin]);
  expect(tailed).toEqual({ code: 0, out: LINE + LINE, err: "The relay two is missing.\n" });
  const { out } = await runHere(["tail", "--admin", admin, "--json"]);
  expect(out).toBe(`${JSON.stringify(EVENT)}\n`.repeat(2));
});

test("a tail that the relay ends for a reason fails with it", async () => {
  const tailed = await runHere(["tail", "--admin", await tailing(SEEN + INTERRUPTED)]);
  expect(tailed).toEqual({ code: 1, out: LINE, err: "The relay two is missing.\n" });
});
