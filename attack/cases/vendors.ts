/**
 * Vendors that answer in ways no honest one does. Each may hold up its own lane, and nothing else.
 */
import { gzipSync } from "node:zlib";
import {
  drip,
  ESCAPES,
  endless,
  inTurn,
  reset,
  silent,
  status,
  WRONG_SHAPES,
  write,
  writeAndEnd,
} from "../lib/behaviours.ts";
import { check, pause, until } from "../lib/check.ts";
import { configOf, EVERY_SOURCE, EVERYWHERE, HOSTILE_VENDOR, segmentTo } from "../lib/scenes.ts";
import { type Attack, newId, type Stage, track } from "../lib/stage.ts";
import { type Behaviour, healthy, respond } from "../lib/vendor.ts";
import { drained } from "./events.ts";

const REACHED_MS = 3_000;
const BESIDE_MS = 2_000;
const WATCHED_MS = 1_500;
/**
 * More in this time is a loop without a pause: waits are at most 50 ms, 25 on average, so that 60
 * are expected; without a pause there would be a thousand.
 */
const ATTEMPTS_MAX = 120;
const HEALED_MS = 15_000;
/** What may be under way on a connection that is given up. */
const READ_MAX_BYTES = 32 * 1024 * 1024;
const OK_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/**
 * One vendor behaves so: the other's events arrive meanwhile, attempts are few, and once it is
 * healthy its own lane goes on.
 */
async function misbehave(stage: Stage, behaviour: Behaviour): Promise<void> {
  const { relay, good, bad } = stage;
  const before = bad.received;
  bad.behave(behaviour);
  const ids = [newId(), newId(), newId()];
  await stage.send(ids.map((id) => track(id)));
  await until(() => bad.received > before || relay.isEnded, REACHED_MS, "the hostile vendor was not reached");
  await until(
    () => ids.every((id) => good.ids.has(id)) || relay.isEnded,
    BESIDE_MS,
    "the healthy destination waits for the hostile one",
  );
  const reached = bad.received;
  await pause(WATCHED_MS);
  check(bad.received - reached < ATTEMPTS_MAX, `${bad.received - reached} attempts in ${WATCHED_MS} ms`);
  check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
  bad.behave(healthy);
  await relay.admin("POST", "/v1/lanes/attack/bad/resume");
  await drained(relay, HEALED_MS);
}

function hostile(name: string, holds: string, behaviour: Behaviour, more: Partial<Attack> = {}): Attack {
  return { name: `vendor-${name}`, holds, scene: HOSTILE_VENDOR, run: (stage) => misbehave(stage, behaviour), ...more };
}

/** Retry-After may be obeyed for as long as it says: each has a relay that is thrown away. */
function retryAfter(name: string, value: string): Attack {
  return {
    name: `vendor-retry-after-${name}`,
    holds: "a hostile Retry-After holds up its own lane at most, and makes no loop without a pause",
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor(write(respond("429 Too Many", "{}", [`retry-after: ${value}`])));
      const directory = stage.directory();
      const destinations = { good: segmentTo(good), bad: segmentTo(bad) };
      const relay = await stage.launch({ directory, config: configOf(directory, { destinations }) });
      await stage.send([track(newId())], relay);
      await until(() => bad.received > 0 || relay.isEnded, REACHED_MS, "the hostile vendor was not reached");
      const reached = bad.received;
      await pause(WATCHED_MS);
      check(bad.received - reached < ATTEMPTS_MAX, `${bad.received - reached} attempts in ${WATCHED_MS} ms`);
      await stage.verify(relay, good);
    },
  };
}

export const vendors: readonly Attack[] = [
  hostile("status-000", "a status of 000 is one failed attempt", status("000 Nothing"), { quick: true }),
  hostile("status-099", "a status of 099 is one failed attempt", status("099 Less")),
  hostile("status-999", "a status of 999 is one failed attempt", status("999 More")),
  hostile(
    "status-odd",
    "statuses of one, two and four digits, text, and none are failed attempts",
    inTurn(["1 x", "20 x", "2000 x", "abc x", "", "-1 x", "600 x", "1000 x"].map(status)),
  ),
  hostile(
    "status-every",
    "every status from 200 to 599 means something",
    inTurn(Array.from({ length: 400 }, (_, index) => status(`${200 + index} x`))),
  ),
  hostile(
    "interim-flood",
    "interim answers without end are cut off at the timeout",
    endless("", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(500)),
  ),
  hostile(
    "interim-odd",
    "101, 102 and 199 before or instead of an answer do not count as a defect",
    inTurn([
      write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxyz"),
      write(`HTTP/1.1 102 Processing\r\n\r\n${respond("200 OK", "{}")}`),
      write("HTTP/1.1 199 x\r\n\r\n"),
    ]),
  ),
  {
    name: "vendor-endless-body",
    holds: "an answer without end is read up to its limit and given up",
    scene: HOSTILE_VENDOR,
    async run(stage) {
      const sockets = new Set<import("node:net").Socket>();
      const flood = endless(`${OK_HEAD}transfer-encoding: chunked\r\n\r\n`, `10000\r\n${"x".repeat(65_536)}\r\n`);
      await misbehave(stage, (socket, request) => {
        sockets.add(socket);
        flood(socket, request);
      });
      for (const socket of sockets)
        check(
          socket.bytesWritten - socket.writableLength < READ_MAX_BYTES,
          `${Math.round(socket.bytesWritten / 1e6)} MB of one answer were read`,
        );
    },
  },
  hostile(
    "endless-headers",
    "headers without end are cut off",
    endless("HTTP/1.1 200 OK\r\n", "x-y: zzzzzzzzzzzzzzzz\r\n".repeat(1_000)),
  ),
  hostile(
    "huge-header",
    "a header of 1 MB is a failed attempt",
    write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(1_000_000)}\r\ncontent-length: 2\r\n\r\n{}`),
  ),
  hostile(
    "ten-thousand-headers",
    "ten thousand headers are a failed attempt or an answer",
    write(`HTTP/1.1 500 x\r\n${"a: b\r\n".repeat(2_500)}content-length: 2\r\n\r\n{}`),
  ),
  hostile(
    "headers-of-prototype-names",
    "headers named as every object's members mean nothing",
    write(respond("503 x", "{}", ["__proto__: x", "constructor: y", "toString: z", "set-cookie: a", "set-cookie: b"])),
  ),
  hostile(
    "drip",
    "an answer of one byte now and then is given up at the timeout",
    drip(respond("200 OK", "{}".padEnd(5_000))),
  ),
  hostile("silent", "a vendor that takes everything and says nothing is given up at the timeout", silent),
  hostile(
    "closes-early",
    "connections closed before, in the middle of and after a head are failed attempts",
    inTurn([
      writeAndEnd(""),
      writeAndEnd("HTTP/1.1 200"),
      writeAndEnd(`${OK_HEAD}content-length: 100\r\n\r\n{`),
      writeAndEnd("HTTP/1.1 200 OK\r\n\r\n"),
      reset,
    ]),
  ),
  hostile(
    "garbage",
    "noise instead of HTTP is a failed attempt",
    inTurn([
      write("\u0000\u0001\u0002\r\n\r\n"),
      writeAndEnd(Buffer.from("16030100c8010000", "hex")),
      write("HTTP/2.0 200 OK\r\n\r\n"),
      write("SSH-2.0-x\r\n"),
      write("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"),
      write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    ]),
  ),
  hostile(
    "chunks-damaged",
    "chunks that overflow or lie are failed attempts",
    inTurn(
      ["fffffffffffffffff\r\nx", "-1\r\nx", "zz\r\n", "2;" + "x".repeat(50_000)].map((chunk) =>
        write(`${OK_HEAD}transfer-encoding: chunked\r\n\r\n${chunk}`),
      ),
    ),
  ),
  hostile(
    "two-answers",
    "an answer that nobody asked for is not taken for the next one's",
    write(respond("503 x", "{}") + respond("200 OK", "{}") + respond("200 OK", "{}")),
  ),
  hostile(
    "packed-answer",
    "a packed answer is not unpacked without limit",
    write(
      Buffer.concat([
        Buffer.from(
          `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${gzipSync(Buffer.alloc(10_000_000)).length}\r\n\r\n`,
        ),
        gzipSync(Buffer.alloc(10_000_000)),
      ]),
    ),
  ),
  hostile(
    "redirects",
    "redirects to itself, to files and to other networks are not followed",
    inTurn(
      ["/v1/batch", "file:///etc/passwd", "http://169.254.169.254/", "//x", "\u00e9"].map((to) =>
        write(respond("307 x", "", [`location: ${to}`])),
      ),
    ),
  ),
  hostile(
    "escapes-in-answer",
    "escape sequences in reason, header and body harm nothing",
    write(
      `HTTP/1.1 500 ${ESCAPES.replaceAll(/[\r\n\u202e]/g, "")}\r\nx: \u0080\r\ncontent-length: ${Buffer.byteLength(ESCAPES)}\r\n\r\n${ESCAPES}`,
    ),
  ),
  retryAfter("negative", "-1"),
  retryAfter("huge", "99999999999999999999"),
  retryAfter("words", "Infinity"),
  retryAfter("far-date", "Fri, 31 Dec 9999 23:59:59 GMT"),
  retryAfter("past-date", "Thu, 01 Jan 1970 00:00:00 GMT"),
  retryAfter("list", "1, 2, -3"),
  {
    name: "vendor-answers-of-wrong-shapes",
    holds: "2xx, 4xx and 5xx with JSON of any shape are understood or retried by every destination",
    scene: EVERYWHERE,
    limitMs: 60_000,
    async run(stage) {
      const { relay, bad } = stage;
      for (const line of ["200 OK", "207 x", "400 x", "422 x", "500 x"]) {
        bad.behave(inTurn(WRONG_SHAPES.map((shape) => write(respond(line, shape)))));
        for (let round = 0; round < 4; round++) {
          await stage.send(Array.from({ length: 10 }, () => track(newId())));
          await pause(150);
        }
        check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
      }
      bad.behave(healthy);
      for (const { destination, environment } of (await relay.accounts()).lanes)
        await relay.admin("POST", `/v1/lanes/${environment}/${destination}/resume`);
      await drained(relay, 30_000);
    },
  },
  {
    name: "vendor-hostile-to-every-protocol",
    holds: "the hostile answers above, from the vendor of every protocol, harm only its lane",
    scene: EVERYWHERE,
    limitMs: 60_000,
    async run(stage) {
      const { relay, bad } = stage;
      const answers = [
        status("000 x"),
        status("099 x"),
        status("999 x"),
        writeAndEnd("HTTP/1.1 200"),
        reset,
        write(respond("503 x", "{}", ["retry-after: 0"])),
        write("HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        write("\u0000\r\n\r\n"),
      ];
      bad.behave(inTurn(answers));
      for (let round = 0; round < 6; round++) {
        await stage.send(Array.from({ length: 5 }, () => track(newId())));
        await pause(300);
        check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
      }
      bad.behave(healthy);
      for (const { destination, environment } of (await relay.accounts()).lanes)
        await relay.admin("POST", `/v1/lanes/${environment}/${destination}/resume`);
      await drained(relay, 40_000);
    },
  },
  {
    name: "vendor-connections-bounded",
    holds: "a silent vendor with a backlog of 20,000 events holds few connections and little memory",
    async run(stage) {
      const good = await stage.vendor();
      const bad = await stage.vendor(silent);
      const directory = stage.directory();
      const destinations = {
        good: segmentTo(good),
        bad: segmentTo(bad),
        trophy: { vendor: "trophy", url: bad.url, writeKey: "k", timeout: "2s" },
        valued: { vendor: "valued", url: `${bad.url}/events`, writeKey: "k", timeout: "2s" },
      };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { sources: EVERY_SOURCE, destinations }),
      });
      for (let sent = 0; sent < 40; sent++)
        await stage.send(
          Array.from({ length: 500 }, () => track(newId())),
          relay,
        );
      await pause(1_000);
      check(bad.connections <= 64, `${bad.connections} connections to the silent vendor`);
      await stage.verify(relay, good);
    },
  },
];
