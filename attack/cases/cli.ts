/** What the command prints of strangers' texts. */
import { readdirSync } from "node:fs";
import { ESCAPES, write } from "../lib/behaviours.ts";
import { check, cut, inParallel, until } from "../lib/check.ts";
import { waybill } from "../lib/command.ts";
import { RawConnection } from "../lib/raw.ts";
import { configOf, EVERY_SOURCE, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track } from "../lib/stage.ts";
import { respond } from "../lib/vendor.ts";
import { drained } from "./events.ts";

/** Control characters and what reverses writing; a line feed ends a line. */
const UNSAFE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

function checkPrinted(text: string, what: string): void {
  const found = UNSAFE.exec(text.replaceAll("\n", " "));
  check(
    found === null,
    `${what} prints ${JSON.stringify(found?.[0])}: ${cut(JSON.stringify(text.slice(Math.max(0, (found?.index ?? 0) - 60))))}`,
  );
  check(
    !/^forged/m.test(text) && !/^production\/good: delivered/m.test(text),
    `${what} prints a forged line: ${cut(text, 400)}`,
  );
}

/** A relay with an event whose every field, and whose refusal, is hostile to a terminal. */
async function homeOf(stage: Stage): Promise<{ readonly admin: string; readonly id: string; readonly data: string }> {
  const good = await stage.vendor();
  const bad = await stage.vendor(write(respond("400 x", JSON.stringify({ code: ESCAPES, message: ESCAPES }))));
  const plain = await stage.vendor(write(respond("422 x", ESCAPES)));
  const directory = stage.directory();
  const destinations = { good: segmentTo(good), bad: segmentTo(bad), plain: segmentTo(plain) };
  const relay = await stage.launch({ directory, config: configOf(directory, { sources: EVERY_SOURCE, destinations }) });
  const id = newId("printed");
  await stage.send(
    [track(id, { event: ESCAPES, userId: ESCAPES, anonymousId: ESCAPES, properties: { text: ESCAPES } })],
    relay,
  );
  await drained(relay);
  return { admin: relay.adminUrl, id, data: `${directory}/data` };
}

export const commands: readonly Attack[] = [
  {
    name: "print-trace",
    holds: "trace prints vendors' answers and events without control characters, and no forged lines",
    async run(stage) {
      const { admin, id } = await homeOf(stage);
      const { code, out, err } = await waybill(["trace", id, "--admin", admin]);
      check(code === 0, `ended with ${code}: ${cut(err)}`);
      checkPrinted(out + err, "trace");
      checkPrinted((await waybill(["trace", ESCAPES, "--admin", admin])).err, "trace of an unknown id");
      checkPrinted((await waybill(["trace", id, "--admin", admin, "--json"])).out, "trace --json");
    },
  },
  {
    name: "print-dead-letters",
    holds: "dead-letters list, show and retry print reasons and events safely",
    async run(stage) {
      const { admin } = await homeOf(stage);
      for (const command of ["list", "show", "export"])
        for (const lane of ["attack/bad", "attack/plain"]) {
          const { code, out, err } = await waybill(["dead-letters", command, lane, "--admin", admin]);
          check(code === 0, `${command} ended with ${code}: ${cut(err)}`);
          checkPrinted(out + err, `dead-letters ${command}`);
        }
      checkPrinted(
        (await waybill(["dead-letters", "list", `attack/${ESCAPES}`, "--admin", admin])).err,
        "an unknown lane",
      );
    },
  },
  {
    name: "print-tail-and-dump",
    holds: "tail, log dump and log tail print events safely",
    async run(stage) {
      const { admin, data } = await homeOf(stage);
      const port = Number(new URL(admin).port);
      const tailing = waybill(["tail", "--admin", admin], { forMs: 4_000 });
      await until(async () => (await RawConnection.open(port)).closed === false, 1_000, "the admin port is closed");
      const relay = stage.relays[0];
      for (let sent = 0; sent < 30; sent++) {
        await relay?.ask({
          path: "/v1/batch",
          headers: basic(KEY),
          body: JSON.stringify({ batch: [track(`${newId()}${ESCAPES}`, { event: ESCAPES, userId: ESCAPES })] }),
        });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const tail = await tailing;
      check(tail.out.length > 0, "tail printed nothing");
      checkPrinted(tail.out + tail.err, "tail");
      check(readdirSync(`${data}/attack/log`).length > 0, "there is no log");
      for (const command of ["dump", "tail"]) {
        const { out, err } = await waybill(["log", command, `${data}/attack/log`]);
        check(out.length > 0, `log ${command} printed nothing`);
        checkPrinted(out + err, `log ${command}`);
      }
    },
  },
  {
    name: "print-hostile-admin",
    holds: "a command that is pointed at a hostile server prints its answers safely and ends",
    async run(stage) {
      const shapes = [
        "null",
        "[]",
        "{}",
        '{"events":[{}]}',
        '{"deadLetters":[{}]}',
        '{"deadLetters":[{"reason":"\\u001b[2J"}]}',
        ESCAPES,
        JSON.stringify({ detail: ESCAPES }),
        '{"events":[{"receivedAtMs":1e300,"destinations":[{"outcome":"\\u001b[2J","attempts":[]}]}]}',
      ];
      const answers = [
        ...shapes.map((shape) => respond("200 OK", shape)),
        respond("400 x", JSON.stringify({ detail: ESCAPES })),
        respond("500 x", ESCAPES),
      ];
      await inParallel(answers, 4, async (answer) => {
        const server = await stage.vendor(write(answer));
        for (const args of [
          ["trace", "x"],
          ["dead-letters", "list", "a/b"],
        ]) {
          const { out, err } = await waybill([...args, "--admin", server.url]);
          checkPrinted(out + err, args.join(" "));
        }
      });
    },
    limitMs: 90_000,
  },
];
