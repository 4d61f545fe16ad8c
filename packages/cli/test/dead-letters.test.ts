/** Retry and discard say how many they concern, and never wait for an answer in a pipe. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type Ended, runHere, type TerminalOptions } from "./lib/command.ts";

const REPLAY = {
  id: "01a20202-e1a5-70c2-ba29-9ed6e0e945ee",
  environment: "e",
  destination: "d",
  of: "dead letters",
  createdAtMs: 0,
  state: "running",
};
const ledger = (delivered: number): object => ({
  accepted: 3,
  delivered,
  rejected: 0,
  dropped: 0,
  droppedByReason: {},
  expired: 0,
  pending: 3 - delivered,
  balanced: true,
});

/** An admin API with `events` dead letters; notes what it was asked. */
async function withDeadLetters(events: number): Promise<{
  readonly asked: string[];
  readonly ask: (args: readonly string[], terminal?: TerminalOptions) => Promise<Ended>;
}> {
  const asked: string[] = [];
  let looks = 0;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://x");
    asked.push(`${url.pathname.split("/").at(-1)}${url.search}`);
    const isCount = url.searchParams.get("dryRun") === "true";
    const answer = url.pathname.endsWith("/replays")
      ? [{ ...REPLAY, state: ++looks > 1 ? "done" : "waiting", reason: "503", account: ledger(looks > 1 ? 3 : 1) }]
      : url.pathname.endsWith("/discard")
        ? { events, discarded: isCount ? 0 : events }
        : isCount
          ? { events }
          : { ...REPLAY, account: ledger(0) };
    response.writeHead(200).end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    ask: ([what = "", ...args], terminal) =>
      runHere(["dead-letters", what, "e/d", ...args, "--admin", admin], {}, terminal),
  };
}

test("discard without --yes does nothing in a pipe, and asks at a terminal", async () => {
  const { asked, ask } = await withDeadLetters(1_200);
  const refused = "waybill: 1,200 dead letters of e/d would be discarded\n  Do it with --yes.\n";
  expect(await ask(["discard"])).toEqual({ code: 1, out: "", err: refused });
  expect(await ask(["discard", "--json"], { types: "y\n" })).toEqual({ code: 1, out: "", err: refused });
  expect(await ask(["discard", "--dry-run"])).toEqual({
    code: 0,
    out: "1,200 dead letters of e/d would be discarded.\n",
    err: "",
  });
  for (const types of ["n\n", "\n", "", "maybe\n"]) {
    const { code, out, err } = await ask(["discard"], { types });
    expect({ types, code, out }).toEqual({ types, code: 1, out: "" });
    expect(err).toContain("Discard 1,200 dead letters of e/d? They are not sent again. [y/N]");
    expect(err).toContain("Nothing was discarded.");
  }
  expect(asked.every((one) => one === "discard?dryRun=true")).toBe(true);
  expect(await ask(["discard"], { types: "yes\n" })).toMatchObject({ code: 0, out: "Discarded 1,200 dead letters.\n" });
  const filter = ["--name", "Order Completed", "--user", "u", "--reason", "x", "--id", "1,2"];
  expect(await ask(["discard", "--yes", "--json", ...filter])).toEqual({
    code: 0,
    out: '{"events":1200,"discarded":1200}\n',
    err: "",
  });
  expect(asked.at(-1)).toBe("discard?id=1%2C2&name=Order+Completed&user=u&reason=x");
});

test("retry and discard that match nothing say so with exit code 1, and do nothing", async () => {
  const { asked, ask } = await withDeadLetters(0);
  expect(await ask(["retry", "--reason", "x"])).toEqual({
    code: 1,
    out: "",
    err: "waybill: No dead letter of e/d that waits matches; nothing was sent again.\n",
  });
  expect(await ask(["discard", "--yes"])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/nothing was disc/) as string,
  });
  expect(await ask(["retry", "--json"])).toMatchObject({ code: 1, out: '{"events":0}\n' });
  expect(asked.every((one) => one.includes("dryRun=true"))).toBe(true);
});

test("retry counts, starts a replay, and waits for it with --wait", async () => {
  const { ask } = await withDeadLetters(3);
  expect((await ask(["retry", "--dry-run"])).out).toBe("3 dead letters of e/d would be sent again.\n");
  expect(await ask(["retry"])).toEqual({
    code: 0,
    out: `Replay ${REPLAY.id} sends 3 events again; waybill replay list shows how it goes.\n`,
    err: "",
  });
  const waited = await ask(["retry", "--wait"], {});
  expect(waited.code).toBe(0);
  expect(waited.out).toContain(`Replay ${REPLAY.id} is done (503): 3 chosen, 3 delivered.\n`);
  expect(waited.err).toMatch(/[█░]{24} +\d+ %/);
  expect(waited.err).toContain("The replay is waiting: 503\n");
  expect(await ask(["retry", "--state", "wating"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("Allowed choices are waiting, retried, discarded") as string,
  });
});
