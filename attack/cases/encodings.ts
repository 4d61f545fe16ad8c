/** Content encodings: their names, and what they unpack to. */
import { gzipSync } from "node:zlib";
import { brotliBomb, deflateBomb, gzipBomb, healthyCalls, PROTOTYPE_NAMES } from "../lib/bodies.ts";
import { check, cut } from "../lib/check.ts";
import { type Answer, ask, flood, statuses } from "../lib/http.ts";
import { keepSending } from "../lib/load.ts";
import { exchangeRaw, RawConnection, rawRequest } from "../lib/raw.ts";
import { PLAIN } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track, unblocked } from "../lib/stage.ts";

const ANSWER_MAX_BYTES = 64 * 1024;
const EMPTY_OBJECTS = 3_400_000;

function checkCode(answer: Answer, what: string): void {
  check(answer.status >= 400 && answer.status < 500, `${what}: answered ${answer.status} ${cut(answer.text)}`);
  check(/"(?:code|error|message|kind)"/.test(answer.text), `${what}: the refusal has no code: ${cut(answer.text)}`);
}

/** Bombs from `parallel` connections while healthy requests with a key go on. */
async function bombard(stage: Stage, bomb: Buffer, options: BombOptions): Promise<void> {
  const { encoding, count, parallel, headers = {}, path = "/v1/batch" } = options;
  const healthy = keepSending(stage.relay);
  const { byStatus } = await flood(count, parallel, () => ({
    port: stage.relay.port,
    path,
    headers: { "content-encoding": encoding, "content-type": "application/json", ...headers },
    body: bomb,
    timeoutMs: 15_000,
  }));
  await healthy.stop();
  check(!byStatus.has(0), `bombs without an answer: ${statuses(byStatus)}`);
  check(!byStatus.has(500) && !byStatus.has(200), `bombs were answered ${statuses(byStatus)}`);
}

interface BombOptions {
  readonly encoding: string;
  readonly count: number;
  readonly parallel: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly path?: string;
}

export const encodings: readonly Attack[] = [
  {
    name: "encoding-proto",
    holds: "Content-Encoding: __proto__ without a key is one 4xx with a code",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const path of ["/v1/batch", "/v1/track", "/s/web/v1/batch", "/s/hog/batch"])
        checkCode(await relay.ask({ path, headers: { "content-encoding": "__proto__" }, body: "{}" }), path);
    },
  },
  {
    name: "encoding-constructor",
    holds: "Content-Encoding: constructor is answered at once and holds no bytes",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const body = Buffer.alloc(100_000, " ");
      checkCode(
        await relay.ask({ path: "/v1/batch", headers: { "content-encoding": "constructor" }, body }),
        "/v1/batch",
      );
    },
  },
  {
    name: "encoding-prototype-names",
    holds: "no name of Object.prototype is an encoding, for any protocol",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const { protocol, path, headers, body } of healthyCalls())
        for (const name of PROTOTYPE_NAMES)
          checkCode(
            await relay.ask({ path, headers: { ...headers, "content-encoding": name }, body }),
            `${protocol}, ${name}`,
          );
    },
  },
  {
    name: "encoding-odd",
    holds: "odd lists of encodings are refused, never passed through",
    scene: PLAIN,
    async run({ relay }) {
      const { port } = relay;
      for (const name of [
        "gzip, gzip",
        "br, gzip",
        "gzip;q=1",
        ",",
        "gzip\tgzip",
        "\u00e9",
        "zstd",
        "compress",
        "x".repeat(8_000),
      ]) {
        const headers = [
          "content-type: application/json",
          `content-encoding: ${name}`,
          `authorization: ${basic(KEY)["authorization"]}`,
        ];
        const answer = await exchangeRaw(port, rawRequest("POST /v1/batch HTTP/1.1", headers, gzipSync("{}")));
        check(answer !== undefined && answer.status >= 400 && answer.status < 500, `${name}: ${answer?.status}`);
      }
    },
  },
  {
    name: "brotli-bombs-keyless",
    holds: "400 parallel brotli bodies of 49 bytes without a key cost neither memory nor other requests",
    scene: PLAIN,
    async run(stage) {
      await bombard(stage, brotliBomb(), { encoding: "br", count: 400, parallel: 400 });
    },
  },
  {
    name: "gzip-bombs-keyless",
    holds: "200 parallel gzip bodies of 10 KB without a key cost neither memory nor other requests",
    scene: PLAIN,
    async run(stage) {
      await bombard(stage, gzipBomb(), { encoding: "gzip", count: 200, parallel: 200 });
    },
  },
  {
    name: "deflate-bombs-keyless",
    holds: "200 parallel deflate bodies without a key cost neither memory nor other requests",
    scene: PLAIN,
    async run(stage) {
      await bombard(stage, deflateBomb(), { encoding: "deflate", count: 200, parallel: 200 });
    },
  },
  {
    name: "brotli-bombs-with-key",
    holds: "the same bombs from a client with a key harm no other source",
    scene: PLAIN,
    async run(stage) {
      const headers = { authorization: "Bearer attack-letter-key" };
      await bombard(stage, brotliBomb(), { encoding: "br", count: 400, parallel: 200, headers });
    },
  },
  {
    name: "bombs-for-every-protocol",
    holds: "a bomb is refused by every protocol's receiver",
    scene: PLAIN,
    async run(stage) {
      const bomb = brotliBomb(9 * 1024 * 1024);
      for (const { path, headers } of healthyCalls())
        await bombard(stage, bomb, { encoding: "br", count: 24, parallel: 24, headers, path });
    },
  },
  {
    name: "gzip-in-gzip",
    holds: "what is packed twice is unpacked once, and refused as what it then is",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const body = gzipSync(gzipSync(JSON.stringify({ batch: [track(newId())] })));
      const answer = await relay.ask({
        path: "/v1/batch",
        headers: { ...basic(KEY), "content-encoding": "gzip" },
        body,
      });
      checkCode(answer, "gzip of gzip");
    },
  },
  {
    name: "gzip-many-members",
    holds: "ten thousand gzip members in one body are read within the limits",
    scene: PLAIN,
    async run({ relay }) {
      const body = Buffer.concat(Array.from({ length: 10_000 }, () => gzipSync(" ")));
      const answer = await relay.ask({
        path: "/v1/batch",
        headers: { ...basic(KEY), "content-encoding": "gzip" },
        body,
      });
      checkCode(answer, "many members");
    },
  },
  {
    name: "gzip-empty-objects",
    holds: "10 KB of gzip with 3.4 million {} neither block the loop nor are answered by megabytes",
    scene: PLAIN,
    async run(stage) {
      const objects = Buffer.from(`{"batch":[${"{},".repeat(EMPTY_OBJECTS - 1)}{}]}`);
      const body = gzipSync(objects);
      const headers = { ...basic(KEY), "content-encoding": "gzip" };
      const answer = await unblocked(stage.relay, "it", () =>
        stage.relay.ask({ path: "/v1/batch", headers, body, timeoutMs: 15_000 }),
      );
      check(answer.status >= 400 && answer.status < 500, `answered ${answer.status}`);
      check(answer.text.length <= ANSWER_MAX_BYTES, `the answer has ${answer.text.length} bytes`);
    },
  },
  {
    name: "answers-are-bounded",
    holds: "a body with the most refused events that are taken is answered by at most 64 KiB",
    scene: PLAIN,
    async run({ relay }) {
      for (const item of ["{}", "1", '"x"', "[]", '{"type":"x"}']) {
        const body = `{"batch":[${Array.from({ length: 20_000 }, () => item).join(",")}]}`;
        const answer = await relay.ask({ path: "/v1/batch", headers: basic(KEY), body });
        check(answer.text.length <= ANSWER_MAX_BYTES, `${item}: the answer has ${answer.text.length} bytes`);
      }
    },
  },
  {
    name: "encoding-truncated",
    holds: "a packed body that is cut or damaged anywhere is a 4xx and holds nothing",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const whole = gzipSync(JSON.stringify({ batch: [track(newId())] }));
      for (let length = 0; length < whole.length; length += 3) {
        const body = whole.subarray(0, length);
        const answer = await relay.ask({
          path: "/v1/batch",
          headers: { ...basic(KEY), "content-encoding": "gzip" },
          body,
        });
        checkCode(answer, `${length} bytes`);
      }
    },
  },
  {
    name: "encoding-slow-bomb",
    holds: "bombs sent byte by byte on 100 connections are charged for what they unpack to",
    scene: PLAIN,
    async run({ relay }) {
      const bomb = brotliBomb();
      const connections = await Promise.all(Array.from({ length: 100 }, () => RawConnection.open(relay.port)));
      const head = rawRequest("POST /v1/batch HTTP/1.1", ["content-encoding: br", `content-length: ${bomb.length}`]);
      await Promise.all(connections.map((one) => one.write(head)));
      for (const byte of bomb) await Promise.all(connections.map((one) => one.write(Buffer.of(byte))));
      const health = await ask({ port: relay.port, method: "GET", path: "/health" });
      check(health.status === 200, `/health answered ${health.status}`);
      await Promise.all(connections.map((one) => one.settled(1, 15_000)));
      for (const one of connections) {
        const status = one.answers[0]?.status ?? 400;
        check(status >= 400 && status !== 500, `answered ${status}`);
        one.destroy();
      }
    },
  },
];
