/** Request heads: names, lengths, keys and paths as no client sends them. */
import { healthyCalls, PROTOTYPE_NAMES, WRAP } from "../lib/bodies.ts";
import { check, cut } from "../lib/check.ts";
import { statuses } from "../lib/http.ts";
import { checkRefused, exchangeRaw, floodRaw, RawConnection, rawRequest } from "../lib/raw.ts";
import { KEYS, PLAIN } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, track } from "../lib/stage.ts";

const AUTHORIZED = `authorization: ${basic(KEY)["authorization"]}`;
const HEAD_MAX_BYTES = 64 * 1024;
const PATHS = 20_000;

function batchOf(id: string): string {
  return JSON.stringify({ batch: [track(id)] });
}

export const heads: readonly Attack[] = [
  {
    name: "paths-of-prototype-names",
    holds: "a path made of the names that every object has is 404 or another 4xx",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const name of PROTOTYPE_NAMES)
        for (const path of [
          `/${name}`,
          `/s/${name}/v1/batch`,
          `/v1/${name}`,
          `/mobile/${name}`,
          `/s/hog/${name}`,
          `/events/bulk/${name}`,
        ]) {
          const { status } = await relay.ask({ path, headers: basic(KEY), body: "{}" });
          check(status >= 400 && status < 500, `${path}: answered ${status}`);
        }
    },
  },
  {
    name: "headers-of-prototype-names",
    holds: "headers with such names, kept with a diagnostic event, harm nothing on their way",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const odd = PROTOTYPE_NAMES.map((name) => `${name}: x`);
      for (const path of ["/diagnostic", "/mobile/events/diagnostic", "/bulk"]) {
        const key = path.startsWith("/mobile") ? KEYS.mobile : KEYS.launchdarkly;
        const bytes = rawRequest(`POST ${path} HTTP/1.1`, [`authorization: ${key}`, ...odd], "[]");
        const answer = await exchangeRaw(relay.port, bytes);
        check(answer?.status === 202, `${path}: answered ${answer?.status}`);
      }
    },
  },
  {
    name: "keys-of-prototype-names",
    holds: "no such name is a key, in any place where a key may stand",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const name of PROTOTYPE_NAMES) {
        const asked = [
          { path: "/v1/batch", headers: basic(name) },
          { path: "/v1/batch", headers: { authorization: `Bearer ${name}` } },
          { path: "/bulk", headers: { authorization: name } },
          { path: "/metrics/x/event", headers: { "x-api-key": name } },
          { path: `/v1/events/batch?api_key=${name}`, headers: {} },
          { path: `/events/bulk/${name}`, headers: {} },
        ];
        for (const one of asked) {
          const { status } = await relay.ask({ ...one, body: "{}" });
          check(status >= 400 && status < 500, `${one.path} with the key ${name}: answered ${status}`);
        }
        const inBody = await relay.ask({ path: "/v1/batch", body: JSON.stringify({ writeKey: name, batch: [] }) });
        check(inBody.status === 401, `the key ${name} in the body: answered ${inBody.status}`);
      }
    },
  },
  {
    name: "methods-odd",
    holds: "methods that no client sends are refused at once",
    scene: PLAIN,
    async run({ relay }) {
      for (const method of [
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "M-SEARCH",
        "post",
        "GETX",
        "DELETE",
        "PATCH",
        "LINK",
        "\u00e9",
        "P OST",
      ]) {
        const bytes = rawRequest(`${method} /v1/batch HTTP/1.1`, [AUTHORIZED], "{}");
        checkRefused(await exchangeRaw(relay.port, bytes), method);
      }
    },
  },
  {
    name: "head-over-64-kib",
    holds: "a head above 64 KiB is refused, whether in one header, many or the path",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const pad = "x".repeat(HEAD_MAX_BYTES);
      const many = Array.from({ length: 5_000 }, (_, index) => `x-${index}: ${"y".repeat(20)}`);
      const path = `POST /v1/batch?${pad} HTTP/1.1`;
      for (const bytes of [
        rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `x-long: ${pad}`], "{}"),
        rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `${pad}: x`], "{}"),
        rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, ...many], "{}"),
        rawRequest(path, [AUTHORIZED], "{}"),
      ])
        checkRefused(await exchangeRaw(relay.port, bytes), `a head of ${bytes.length} bytes`);
    },
  },
  {
    name: "head-endless",
    holds: "a head that never ends is cut off at the limit, on 50 connections at once",
    scene: PLAIN,
    async run({ relay }) {
      const connections = await Promise.all(Array.from({ length: 50 }, () => RawConnection.open(relay.port)));
      await Promise.all(connections.map((one) => one.write("POST /v1/batch HTTP/1.1\r\nhost: x\r\n")));
      const line = `x: ${"y".repeat(1_000)}\r\n`;
      for (let sent = 0; sent < 200; sent++) await Promise.all(connections.map((one) => one.write(line)));
      await Promise.all(connections.map((one) => one.settled()));
      for (const one of connections) one.destroy();
    },
  },
  {
    name: "headers-ten-thousand",
    holds: "ten thousand short headers are refused or read, at once",
    scene: PLAIN,
    async run({ relay }) {
      const many = Array.from({ length: 10_000 }, () => "a:");
      const answer = await exchangeRaw(
        relay.port,
        rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, ...many], batchOf(newId())),
      );
      check(answer === undefined || answer.status < 500, `answered ${answer?.status}`);
    },
  },
  {
    name: "headers-twice",
    holds: "a header that is twice with two meanings is never taken both ways",
    scene: PLAIN,
    async run({ relay }) {
      const twice = [
        ["content-length: 2", "content-length: 3"],
        ["content-length: 2, 3"],
        ["transfer-encoding: chunked", "transfer-encoding: identity"],
      ];
      for (const headers of twice) {
        const bytes = rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, ...headers], "{}");
        checkRefused(await exchangeRaw(relay.port, bytes), headers.join(" and "));
      }
      const keys = [AUTHORIZED, `authorization: ${basic("another")["authorization"]}`];
      const answer = await exchangeRaw(relay.port, rawRequest("POST /v1/batch HTTP/1.1", keys, batchOf(newId())));
      check(answer?.status === 200 || answer?.status === 401 || answer?.status === 400, `two keys: ${answer?.status}`);
    },
  },
  {
    name: "content-length-lies",
    holds: "a length that is negative, huge, signed, hexadecimal or text is refused",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const length of [
        "-1",
        "+2",
        "0x2",
        "2 2",
        "99999999999999999999",
        "18446744073709551618",
        "1e3",
        "",
        "NaN",
        "11000000000",
      ]) {
        const bytes = rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `content-length: ${length}`], "{}");
        const answer = await exchangeRaw(relay.port, bytes);
        checkRefused(answer, `content-length: ${length}`);
      }
    },
  },
  {
    name: "control-characters",
    holds: "control characters in path, header names and values are refused, and forge no log line",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const odd of ["\u0000", "\u0001", "\u000b", "\u001b[2J", "\u007f", "\r", "\n"]) {
        checkRefused(
          await exchangeRaw(relay.port, rawRequest(`POST /v1/ba${odd}tch HTTP/1.1`, [AUTHORIZED], "{}")),
          `path ${cut(JSON.stringify(odd))}`,
        );
        checkRefused(
          await exchangeRaw(relay.port, rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `x${odd}y: z`], "{}")),
          `name ${JSON.stringify(odd)}`,
        );
        const inValue = await exchangeRaw(
          relay.port,
          rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `user-agent: a${odd}b`], "{}"),
        );
        checkRefused(inValue, `value ${JSON.stringify(odd)}`);
      }
    },
  },
  {
    name: "log-lines-forged",
    holds: "every line of the relay's log stays one JSON object, whatever paths and agents say",
    scene: PLAIN,
    async run({ relay }) {
      const forged = '%0a{"level":50,"msg":"forged"}';
      for (const path of [`/x${forged}`, "/x%1b%5b2J", `/v1/batch?${forged}`, `/s/web${forged}/v1/batch`])
        await relay.ask({ path, headers: { ...basic(KEY), "user-agent": `x\\n{"msg":"forged"}` }, body: "{}" });
      for (const line of relay.lines) {
        check(line.startsWith("{") && line.endsWith("}"), `a line of the log is not a JSON object: ${cut(line)}`);
        check((JSON.parse(line) as { msg?: string }).msg !== "forged", "a line of the log was forged");
      }
    },
  },
  {
    name: "unknown-paths-flood",
    holds: "20,000 unknown paths are 404 and leave no trace in the metrics",
    scene: PLAIN,
    async run({ relay }) {
      const before = (await relay.metrics()).split("\n").length;
      const { byStatus } = await floodRaw(relay.port, PATHS, (index) =>
        rawRequest(`POST /unknown-${index} HTTP/1.1`, [], "{}"),
      );
      check(byStatus.get(404) === PATHS, `answered ${statuses(byStatus)}`);
      const after = (await relay.metrics()).split("\n").length;
      check(after <= before + 50, `metrics grew from ${before} to ${after} lines`);
    },
  },
  {
    name: "refusals-flood",
    holds: "refusals of 5,000 kinds of bad key, type and id leave bounded metrics and memory",
    scene: PLAIN,
    async run({ relay }) {
      const before = (await relay.metrics()).split("\n").length;
      await floodRaw(relay.port, 5_000, (index) => {
        const { authorization } = basic(index % 2 === 0 ? KEY : `bad-${index}`);
        const body = JSON.stringify({ batch: [{ type: `type-${index}`, messageId: `${index}` }] });
        return rawRequest("POST /v1/batch HTTP/1.1", [`authorization: ${authorization}`], body);
      });
      const after = (await relay.metrics()).split("\n").length;
      check(after <= before + 100, `metrics grew from ${before} to ${after} lines`);
    },
  },
  {
    name: "authorization-odd",
    holds: "odd credentials are refused without a defect: wrong base64, other schemes, 15 KB, bytes above 127",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const encoded = (text: string): string => Buffer.from(text).toString("base64");
      for (const value of [
        "Basic ====",
        "Basic",
        "Basic  ",
        "Basic \u00ff\u00fe",
        `Basic ${"A".repeat(15_000)}`,
        "Digest x",
        `Basic ${encoded(":")}`,
        `Basic ${encoded("\u0000:")}`,
        "Bearer",
        "Bearer a b",
        `Basic ${encoded("a:b:c")}`,
      ])
        for (const { path, protocol } of healthyCalls()) {
          const answer = await exchangeRaw(
            relay.port,
            rawRequest(`POST ${path} HTTP/1.1`, [`authorization: ${value}`], "{}"),
          );
          check(
            answer !== undefined && answer.status >= 400 && answer.status < 500,
            `${protocol}, ${cut(value, 40)}: ${answer?.status}`,
          );
        }
    },
  },
  {
    name: "queries-odd",
    holds: "broken percent signs and endless queries are read or refused, never a defect",
    scene: PLAIN,
    async run({ relay }) {
      for (const query of [
        "%",
        "%ff%fe",
        "&&&===",
        "api_key=%00",
        "api_key=%E0%A4%A",
        "d=%",
        "d=[",
        "d=%E0",
        `d=${"A".repeat(10_000)}`,
        "d=W10",
        "d=",
        "a".repeat(12_000),
        "__proto__=1",
      ])
        for (const path of [
          "/v1/events/batch",
          `/a/${KEYS.environmentId}.gif`,
          "/v1/batch",
          "/s/hog/batch",
          "/metrics/x/event",
        ]) {
          const method = path.endsWith(".gif") ? "GET" : "POST";
          const answer = await exchangeRaw(
            relay.port,
            rawRequest(`${method} ${path}?${query} HTTP/1.1`, [], method === "GET" ? "" : "{}"),
          );
          check(answer !== undefined && answer.status < 500, `${path}?${cut(query, 30)}: ${answer?.status}`);
        }
    },
  },
  {
    name: "idempotency-keys-odd",
    holds: "an idempotency key of 15 KB, of a prototype's name or of odd bytes is an id like any other",
    scene: PLAIN,
    async run({ relay, acknowledged }) {
      for (const key of ["__proto__", "constructor", "x".repeat(15_000), "\u00ff\u00fe", " ", "0"])
        for (const header of ["idempotency-key", "x-idempotency-key", "x-launchdarkly-payload-id"]) {
          const id = newId();
          const answer = await exchangeRaw(
            relay.port,
            rawRequest("POST /v1/batch HTTP/1.1", [AUTHORIZED, `${header}: ${key}`], batchOf(id)),
          );
          check(answer?.status === 200, `${header}: ${cut(key, 20)}: answered ${answer?.status}`);
          acknowledged.add(id);
        }
    },
  },
  {
    name: "headers-echoed",
    holds: "what is repeated in an answer's headers or body can neither add a header nor break the answer",
    scene: PLAIN,
    async run({ relay }) {
      const { path, headers } = WRAP["getfluxly"] as (typeof WRAP)[string];
      const authorized = `authorization: ${headers["authorization"]}`;
      for (const odd of ["\u00ff\u00fe", "a\tb", '"}x{"', "\u0080\u009f", "x".repeat(10_000)]) {
        const refused = await exchangeRaw(
          relay.port,
          rawRequest(`POST ${path} HTTP/1.1`, [authorized, `x-request-id: ${odd}`], "[]"),
        );
        check(refused?.status === 400, `x-request-id: answered ${refused?.status}`);
        JSON.parse(refused.text);
        const answer = await exchangeRaw(
          relay.port,
          rawRequest(`POST /events/bulk/${KEYS.environmentId} HTTP/1.1`, [`origin: ${odd}`], "[]"),
        );
        check(answer !== undefined && answer.status < 500, `origin: answered ${answer?.status}`);
      }
    },
  },
];
