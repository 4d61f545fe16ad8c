/**
 * Requests whose ends are in doubt: what one reader takes for a body and another for the next
 * request.
 */
import { check, pause } from "../lib/check.ts";
import { checkRefused, exchangeRaw, RawConnection, rawRequest } from "../lib/raw.ts";
import { PLAIN } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track } from "../lib/stage.ts";

const AUTHORIZED = `authorization: ${basic(KEY)["authorization"]}`;
const PIPELINED = 10_000;
const QUIET_MS = 300;

function smuggled(id: string): Buffer {
  return rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED], JSON.stringify({ batch: [track(id)] }));
}

/**
 * Sends a request of doubtful length with a second one inside: the second must not be carried out.
 */
async function smuggle(stage: Stage, headers: readonly string[], before: string): Promise<void> {
  const id = newId("smuggled");
  const inside = Buffer.concat([Buffer.from(before), smuggled(id)]);
  const connection = await RawConnection.open(stage.relay.port);
  const lengths = headers.map((header) => header.replace("LENGTH", String(inside.length)));
  await connection.write(rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, ...lengths], inside));
  await connection.settled();
  await pause(QUIET_MS);
  const taken = connection.answers.filter(({ status }) => status === 200).length;
  connection.destroy();
  check(taken === 0, `${headers.join(" and ")}: ${taken} requests were taken`);
  check(!stage.good.ids.has(id), `${headers.join(" and ")}: the hidden request was carried out`);
}

export const smuggling: readonly Attack[] = [
  {
    name: "smuggle-length-and-chunked",
    holds: "Content-Length beside Transfer-Encoding is refused, and the request hidden in the body is not carried out",
    scene: PLAIN,
    quick: true,
    async run(stage) {
      await smuggle(stage, ["content-length: LENGTH", "transfer-encoding: chunked"], "0\r\n\r\n");
      await smuggle(stage, ["transfer-encoding: chunked", "content-length: 4"], "0\r\n\r\n");
    },
  },
  {
    name: "smuggle-odd-transfer-encodings",
    holds: "a transfer encoding that is not plainly chunked is refused",
    scene: PLAIN,
    async run(stage) {
      for (const header of [
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "transfer-encoding : chunked",
        "transfer-encoding:\u000bchunked",
        "transfer-encoding: chunked;x",
        "transfer-encoding: gzip",
      ])
        await smuggle(stage, [header], "0\r\n\r\n");
    },
  },
  {
    name: "smuggle-bare-line-feeds",
    holds: "a head whose lines end in a bare line feed ends no request early",
    scene: PLAIN,
    async run({ relay, good }) {
      const id = newId("smuggled");
      const hidden = smuggled(id).toString("latin1");
      const bytes = `POST /v1/batch HTTP/1.1\r\nhost: x\r\n${AUTHORIZED}\r\ncontent-length: 2\n\n{}${hidden}`;
      checkRefused(await exchangeRaw(relay.port, bytes), "bare line feeds");
      await pause(QUIET_MS);
      check(!good.ids.has(id), "the hidden request was carried out");
    },
  },
  {
    name: "chunks-damaged",
    holds: "chunk sizes that overflow, are negative, no number or too long, and endless extensions, are refused",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const head = ["transfer-encoding: chunked", AUTHORIZED];
      for (const chunks of [
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "zz\r\n",
        "2\r\n{}{}\r\n0\r\n\r\n",
        `2;${"x".repeat(100_000)}\r\n{}\r\n0\r\n\r\n`,
        "2\n{}\n0\n\n",
        "\r\n\r\n",
      ]) {
        const answer = await exchangeRaw(relay.port, rawRequest("POST /v1/batch HTTP/1.1", head, chunks));
        checkRefused(answer, `chunks ${JSON.stringify(chunks.slice(0, 30))}`);
      }
    },
  },
  {
    name: "chunk-extensions-endless",
    holds: "extensions and trailers that never end are cut off on every connection",
    scene: PLAIN,
    async run({ relay }) {
      const head = rawRequest("POST /v1/batch HTTP/1.1", ["transfer-encoding: chunked", AUTHORIZED]);
      for (const endless of ["1;", "0\r\n"]) {
        const connections = await Promise.all(Array.from({ length: 20 }, () => RawConnection.open(relay.port)));
        await Promise.all(connections.map((one) => one.write(Buffer.concat([head, Buffer.from(endless)]))));
        const piece = endless === "1;" ? "x".repeat(4_000) : `x: ${"y".repeat(4_000)}\r\n`;
        for (let sent = 0; sent < 100; sent++) await Promise.all(connections.map((one) => one.write(piece)));
        await Promise.all(connections.map((one) => one.settled(1, 15_000)));
        for (const one of connections) one.destroy();
      }
    },
  },
  {
    name: "chunks-of-one-byte",
    holds: "50 bodies of 60 KB in chunks of one byte are read or refused within bounds",
    scene: PLAIN,
    async run({ relay, acknowledged }) {
      const head = rawRequest("POST /v1/batch HTTP/1.1", ["transfer-encoding: chunked", AUTHORIZED]);
      const send = async (): Promise<void> => {
        const id = newId();
        const body = JSON.stringify({ batch: [track(id)], pad: "x".repeat(60_000) });
        const chunks = [...Buffer.from(body)].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join("");
        const connection = await RawConnection.open(relay.port);
        await connection.write(head);
        await connection.write(`${chunks}0\r\n\r\n`);
        const answer = await connection.answer(15_000);
        check(answer?.status === 200 || answer?.status === 503, `answered ${answer?.status}`);
        if (answer.status === 200) acknowledged.add(id);
        connection.destroy();
      };
      await Promise.all(Array.from({ length: 50 }, send));
    },
  },
  {
    name: "pipelined-ten-thousand",
    holds: "10,000 requests on one connection without waiting are all answered, in order",
    scene: PLAIN,
    async run({ relay, acknowledged }) {
      const connection = await RawConnection.open(relay.port);
      const ids = Array.from({ length: PIPELINED }, () => newId("pipelined"));
      void connection.write(Buffer.concat(ids.map(smuggled)));
      await connection.settled(PIPELINED, 30_000);
      const taken = connection.answers.filter(({ status }) => status === 200).length;
      check(connection.answers.length === PIPELINED, `${connection.answers.length} answers`);
      check(taken === PIPELINED, `${taken} of ${PIPELINED} were taken`);
      for (const id of ids) acknowledged.add(id);
      connection.destroy();
    },
  },
  {
    name: "pipelined-answers-unread",
    holds: "a client that pipelines and reads no answer makes the relay hold no more than its connection",
    scene: PLAIN,
    async run({ relay }) {
      const one = rawRequest("GET /ready HTTP/1.1", []);
      const many = Buffer.concat(Array.from({ length: 5_000 }, () => one));
      const connections = await Promise.all(Array.from({ length: 20 }, () => RawConnection.open(relay.port)));
      for (const connection of connections) {
        connection.socket.pause();
        void connection.write(many);
      }
      await pause(3_000);
      await relay.measure();
      for (const connection of connections) connection.destroy();
    },
  },
  {
    name: "expect-and-upgrade",
    holds: "Expect, Upgrade and h2c are answered or refused; 100-continue is kept",
    scene: PLAIN,
    quick: true,
    async run({ relay, acknowledged }) {
      const id = newId();
      const body = JSON.stringify({ batch: [track(id)] });
      const connection = await RawConnection.open(relay.port);
      await connection.write(
        rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, "expect: 100-continue", `content-length: ${body.length}`]),
      );
      await pause(QUIET_MS);
      await connection.write(body);
      const answer = await connection.answer();
      check(answer?.status === 200, `100-continue: answered ${answer?.status}`);
      acknowledged.add(id);
      connection.destroy();
      for (const header of ["expect: 200-maybe", "expect: __proto__"])
        checkRefused(
          await exchangeRaw(relay.port, rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, header], "{}")),
          header,
        );
      for (const header of ["upgrade: websocket", "upgrade: h2c"]) {
        const upgraded = newId();
        const sent = rawRequest(
          "POST /v1/batch HTTP/1.1",
          [AUTHORIZED, "connection: upgrade", header],
          JSON.stringify({ batch: [track(upgraded)] }),
        );
        const answered = await exchangeRaw(relay.port, sent);
        check(answered === undefined || answered.status !== 101, `${header}: answered 101`);
        if (answered?.status === 200) acknowledged.add(upgraded);
      }
    },
  },
  {
    name: "other-protocols",
    holds: "HTTP/2, TLS, HTTP/0.9, another version and noise are refused at once",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const noise = Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7_919) % 256));
      for (const bytes of [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Buffer.from("16030100c8010000c40303", "hex"),
        "GET /health\r\n\r\n",
        "GET /health HTTP/3.0\r\n\r\n",
        "GET /health HTTP/1.9\r\n\r\n",
        noise,
        "\u0000\u0000\u0000\u0000\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
      ]) {
        const answer = await exchangeRaw(relay.port, bytes, 15_000);
        check(answer === undefined || answer.status >= 400 || answer.status === 200, `answered ${answer?.status}`);
      }
    },
  },
  {
    name: "request-targets-odd",
    holds: "absolute, asterisk and dotted targets, and hosts of others, lead nowhere else",
    scene: PLAIN,
    async run({ relay }) {
      for (const target of [
        "http://evil.example/v1/batch",
        "*",
        "//evil.example/v1/batch",
        "/../v1/batch",
        "/v1/./batch",
        "/%2e%2e/v1/batch",
        "/v1/batch/..",
        "evil.example:443",
        "",
        "/s/../s/web/v1/batch",
      ]) {
        const answer = await exchangeRaw(relay.port, rawRequest(`POST ${target} HTTP/1.1`, [], "{}"));
        checkRefused(answer, `target ${target}`);
      }
      const headless = await exchangeRaw(relay.port, "POST /v1/batch HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}");
      checkRefused(headless, "no Host");
    },
  },
  {
    name: "pipelined-and-reset",
    holds: "60 connections, each with thousands of requests unanswered, are reset at once and block nobody",
    scene: PLAIN,
    async run({ relay }) {
      const many = Buffer.concat(Array.from({ length: 3_000 }, () => rawRequest("GET /health HTTP/1.1", [])));
      const connections = await Promise.all(Array.from({ length: 60 }, () => RawConnection.open(relay.port)));
      for (const connection of connections) {
        connection.socket.pause();
        void connection.write(many);
      }
      await pause(2_000);
      for (const { socket } of connections) socket.resetAndDestroy();
      const answer = await relay.ask({ method: "GET", path: "/health", timeoutMs: 20_000 });
      check(answer.status === 200, `answered ${answer.status}`);
    },
  },
];
