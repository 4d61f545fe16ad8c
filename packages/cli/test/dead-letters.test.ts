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

/** A relay of a cluster, which answers for all partitions as far as others answer it. */
async function inCluster(answers: Readonly<Record<string, object>>, unanswered?: string): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://x");
    const name = pathname.split("/").at(-1) ?? "";
    const answer = answers[searchParams.get("dryRun") === "true" ? "count" : name];
    if (unanswered !== undefined) response.setHeader("waybill-unanswered", unanswered);
    response.writeHead(200).end(JSON.stringify(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const DEAD = {
  deadLetterId: 17,
  partition: 3,
  state: "waiting",
  position: 5,
  source: "web",
  receivedAtMs: 1,
  rejectedAtMs: 2,
  reason: "400",
  messageId: "m",
  name: "Bad",
  event: {},
};

test("over all partitions ids are shown with their partition, and of one without", async () => {
  const page = { deadLetters: [DEAD], next: "3:17", damaged: 0 };
  const groups = [{ reason: "400", waiting: 1, first: 1, last: 2, example: 17, partition: 3 }];
  const admin = await inCluster({ segment: page, reasons: { groups, others: 0 } });
  const listed = await runHere(["dead-letters", "list", "production/segment", "--admin", admin, "--after", "2:1"]);
  expect(listed).toMatchObject({ code: 0, err: "" });
  expect(listed.out).toMatch(/^ *3:17 +waiting/m);
  expect(listed.out).toContain("There are more; show them with --after 3:17.");
  const reasons = await runHere(["dead-letters", "reasons", "production/segment", "--admin", admin]);
  expect(reasons.out).toContain("--id 3:17");
  const shown = await runHere(["dead-letters", "show", "production/3/segment", "--admin", admin, "--id", "17"]);
  expect(shown.out).toContain("dead letter 17, waiting");
  expect((await runHere(["dead-letters", "list", "production/segment", "--id", "3:"])).code).toBe(2);
});

test.each([
  ["list", { segment: { deadLetters: [DEAD], damaged: 0 } }],
  ["reasons", { reasons: { groups: [], others: 0 } }],
  ["retry", { count: { events: 2 }, retry: { events: 2, replays: [{ ...REPLAY, account: ledger(0) }] } }],
  ["discard --yes", { count: { events: 2, discarded: 0 }, discard: { events: 2, discarded: 2 } }],
] as const)("%s says which relays did not answer, shows what the others have, and fails", async (what, answers) => {
  const admin = await inCluster(answers, "partition 4: two is missing");
  const { code, out, err } = await runHere([
    "dead-letters",
    ...what.split(" ").slice(0, 1),
    "production/segment",
    "--admin",
    admin,
    ...what.split(" ").slice(1),
  ]);
  expect([code, err]).toEqual([1, expect.stringContaining("not all relays answered: partition 4: two is missing\n")]);
  expect(out).not.toBe("");
});

test("a retry that is waited for says of which partition it is, and once which relays do not answer", async () => {
  const begun = { ...REPLAY, partitions: [{ partition: 3, state: "running", account: ledger(0) }], account: ledger(0) };
  const answers = { count: { events: 3 }, retry: { events: 3, replays: [begun] } };
  let looks = 0;
  const replays = (): object => [{ ...begun, state: ++looks > 2 ? "done" : "running", account: ledger(3) }];
  const admin = await inCluster(
    {
      ...answers,
      get replays(): object {
        return replays();
      },
    },
    "two is missing",
  );
  const { out, err } = await runHere(["dead-letters", "retry", "production/segment", "--admin", admin, "--wait"]);
  expect(looks).toBe(3);
  expect(out).toContain("sends 3 events of partition 3 again.\n");
  // Once each when they are counted, asked for and waited for.
  expect(err.match(/two is missing/g)).toHaveLength(3);
});

test("a retry over all partitions begins a replay for each, and waits for all of them with --wait", async () => {
  const replays = [
    { ...REPLAY, account: ledger(0) },
    { ...REPLAY, id: "01a20202-e1a5-70c2-ba29-9ed6e0e945ef", account: ledger(0) },
  ];
  const done = replays.map((replay, index) => ({
    ...replay,
    state: index === 0 ? "done" : "failed",
    account: ledger(3),
  }));
  const admin = await inCluster({ count: { events: 6 }, retry: { events: 6, replays }, replays: done });
  const retry = (...more: string[]): Promise<Ended> =>
    runHere(["dead-letters", "retry", "production/segment", "--admin", admin, ...more]);
  expect(await retry()).toEqual({
    code: 0,
    out: "6 events sent again by 2 replays; waybill replay list shows how they go.\n",
    err: "",
  });
  const { code, out } = await retry("--wait");
  expect(code).toBe(1);
  for (const [index, { id }] of replays.entries())
    expect(out).toContain(`Replay ${id} is ${index === 0 ? "done" : "failed"}: 3 chosen, 3 delivered.`);
});

test("an export that breaks off fails, with what had come on standard output", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200).write("{}\n");
    setImmediate(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const admin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { code, err } = await runHere(["dead-letters", "export", "production/segment", "--admin", admin]);
  expect([code, err]).toEqual([1, expect.stringContaining("The export broke off: ") as string]);
});
