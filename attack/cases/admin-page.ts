/** What serves the page, and what it reads: files, positions, configurations to check. */
import { PROTOTYPE_NAMES } from "../lib/bodies.ts";
import { check, cut } from "../lib/check.ts";
import { ask, flood, statuses } from "../lib/http.ts";
import { keepSending } from "../lib/load.ts";
import { exchangeRaw, type RawAnswer, RawConnection, rawRequest } from "../lib/raw.ts";
import type { Relay } from "../lib/relay.ts";
import { EVERYWHERE, PLAIN } from "../lib/scenes.ts";
import { type Attack, newId, RSS_MAX_MB, track, unblocked } from "../lib/stage.ts";

const MIB = 1024 * 1024;
const CHECK = "/v1/config/check";

function file(
  relay: Relay,
  path: string,
  headers: readonly string[] = [],
  method = "GET",
): Promise<RawAnswer | undefined> {
  const host = `host: 127.0.0.1:${relay.adminPort}`;
  return exchangeRaw(
    relay.adminPort,
    rawRequest(`${method} ${path} HTTP/1.1`, [host, "connection: close", ...headers]),
  );
}

/** Of a file that the page's first answer names. */
async function assetOf(relay: Relay): Promise<string> {
  const { status, text } = await ask({ port: relay.adminPort, method: "GET", path: "/" });
  check(status === 200, `/ was answered ${status}: is the page built?`);
  return /\/assets\/[\w.-]+\.js/.exec(text)?.[0] ?? "/assets/none.js";
}

function checkShown(answer: RawAnswer | undefined, path: string): void {
  const { status = 400, text = "", headers } = answer ?? {};
  check(status === 200 || status === 400 || status === 403 || status === 404, `${cut(path, 60)}: answered ${status}`);
  check(!/root:|"name":|"private"|PRIVATE KEY/.test(text), `${cut(path, 60)}: ${cut(text)}`);
  const isPage = headers?.get("content-type")?.startsWith("text/html") === true;
  const isSafe = headers?.get("content-security-policy")?.startsWith("default-src 'none'") === true;
  check(!isPage || isSafe, `${cut(path, 60)}: a page without a policy`);
}

function hostileTexts(): readonly string[] {
  const bomb = Array.from(
    { length: 12 },
    (_, at) => `a${at}: &a${at} [${at === 0 ? "x" : `*a${at - 1}, `.repeat(9)}]`,
  ).join("\n");
  const anchors = Array.from({ length: 20_000 }, (_, at) => `k${at}: &k${at} ${at}`).join("\n");
  return [
    bomb,
    anchors,
    `${anchors}\nall: {<<: [${Array.from({ length: 2_000 }, (_, at) => `*k${at}`).join(", ")}]}`,
    "[".repeat(100_000),
    "{a: ".repeat(5_000),
    Array.from({ length: 1_500 }, (_, at) => `${" ".repeat(at)}a:`).join("\n"),
    "- ".repeat(50_000),
    "? ".repeat(50_000),
    "&a ".repeat(50_000),
    "a: !!js/function 'function () { process.exit() }'",
    "a: !!binary aGVsbG8=\nb: !!set {x}\nc: !!timestamp 2001-12-14",
    "--- a\n--- b\n",
    "%TAG ! tag:example.com,2000:\n---\na: !x y",
    ...PROTOTYPE_NAMES.map(
      (name) => `${name}: {${name}: {${name}: 1}}\nenvironments: {${name}: {sources: {${name}: {protocol: ${name}}}}}`,
    ),
    `environments: {${Array.from({ length: 5_000 }, (_, at) => `e${at}: {}`).join(", ")}}`,
    `listen: "${"$" + "{A".repeat(50_000)}"`,
    `listen: ${"9".repeat(500_000)}`,
    `listen: "${"x".repeat(900_000)}"`,
    `listen: |\n${"  x\n".repeat(100_000)}`,
    "\u0000",
    "\ufeffa: 1",
    "#".repeat(900_000),
    "a: 'unterminated",
    ": ".repeat(100_000),
    ",".repeat(900_000),
  ];
}

export const adminPage: readonly Attack[] = [
  {
    name: "page-paths-hostile",
    holds: "paths that lead out of the page's folder, encoded or not, give the page or 4xx, and never a file beside it",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const ups = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "%252e%252e%252f",
        "..;/",
        "....//",
        "%c0%ae%c0%ae/",
      ];
      const targets = ["package.json", "etc/passwd"];
      for (const up of ups)
        for (const target of targets)
          for (const begin of ["/", "/assets/", "/assets/x/"]) {
            const path = `${begin}${up.repeat(6)}${target}`;
            checkShown(await file(relay, path, ["accept: text/html"]), path);
          }
      for (const path of [
        "/assets/",
        "/assets",
        "/assets/%00",
        "/assets/index.html%00.js",
        "/index.html/",
        "/assets/..",
        "//etc/passwd",
        "/assets/file:///etc/passwd",
        `/assets/${"a/".repeat(5_000)}`,
        `/${"x".repeat(20_000)}`,
        "/?".padEnd(20_000, "x"),
        "http://127.0.0.1/etc/passwd",
        "*",
        ...PROTOTYPE_NAMES.flatMap((name) => [`/${name}`, `/assets/${name}`]),
      ])
        checkShown(await file(relay, path, ["accept: text/html"]), path);
    },
  },
  {
    name: "page-requests-odd",
    holds: "HEAD, ranges, conditions, encodings and headers of 60 KB of the page's files are answered as HTTP has it",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const asset = await assetOf(relay);
      const whole = await ask({ port: relay.adminPort, method: "GET", path: asset });
      const tag = String(whole.headers.etag);
      const bytes = Number(whole.headers["content-length"]);
      check(whole.status === 200 && bytes > 0, `${asset}: answered ${whole.status} with ${bytes} bytes`);
      for (const [method, headers, expected] of [
        ["GET", ["range: bytes=0-0"], 200],
        ["GET", [`range: bytes=${"0-1,".repeat(5_000)}5-6`], 200],
        ["GET", ["range: bytes=-999999999999999999999"], 200],
        ["GET", [`if-none-match: ${tag}`], 304],
        ["GET", [`if-none-match: W/${tag}`], 304],
        ["GET", [`if-none-match: "x", ${tag}`], 304],
        ["GET", ["if-none-match: *"], 304],
        ["GET", [`if-none-match: ${'"x",'.repeat(10_000)}"y"`], 200],
        ["GET", ["if-none-match: W/".padEnd(50_000, '"')], 200],
        ["GET", ["if-modified-since: Thu, 01 Jan 2099 00:00:00 GMT"], 200],
        ["GET", ["if-match: nothing"], 200],
        ["GET", ["accept-encoding: gzip;q=0"], 200],
        ["GET", [`accept-encoding: ${"gzip,".repeat(10_000)}`], 200],
        ["GET", ["x-large: ".padEnd(60_000, "x")], 200],
        ["GET", ["x-large: ".padEnd(70_000, "x")], 431],
        ["POST", ["content-type: application/json"], 404],
        ["PUT", [], 404],
        ["OPTIONS", [], 404],
      ] as const) {
        const answer = await file(relay, asset, headers, method);
        const what = `${method} with ${cut(headers.join(), 50)}`;
        check(answer?.status === expected, `${what}: answered ${answer?.status}`);
        const isPlain = headers[0] === "accept-encoding: gzip;q=0";
        check(!isPlain || answer.headers.get("content-encoding") === undefined, `${what}: compressed all the same`);
      }
      const connection = await RawConnection.open(relay.adminPort);
      void connection.write(
        rawRequest(`HEAD ${asset} HTTP/1.1`, [`host: 127.0.0.1:${relay.adminPort}`, "connection: close"]),
      );
      await new Promise((resolve) => connection.socket.once("close", resolve));
      check(connection.bytesReceived < 2_000, `HEAD was answered with ${connection.bytesReceived} bytes`);
    },
  },
  {
    name: "page-flood",
    holds: "thousands of requests for the page cost its memory once, and block nothing",
    scene: PLAIN,
    async run({ relay }) {
      const asset = await assetOf(relay);
      await unblocked(relay, "the flood", async () => {
        const { byStatus } = await flood(3_000, 64, (index) => ({
          port: relay.adminPort,
          method: "GET",
          path: index % 2 === 0 ? "/" : asset,
        }));
        check(byStatus.get(200) === 3_000, `answered ${statuses(byStatus)}`);
      });
    },
  },
  {
    name: "events-positions-odd",
    holds: "events at odd positions are 4xx; one that is there is shown for every vendor, also a hundred times at once",
    scene: EVERYWHERE,
    async run(stage) {
      const { relay } = stage;
      await stage.send([track(newId())]);
      for (const position of [
        "-1",
        "1.5",
        "1e3",
        "0x0",
        "NaN",
        "",
        "%00",
        "9007199254740991",
        "9007199254740993",
        "9".repeat(400),
        ...PROTOTYPE_NAMES,
      ])
        for (const environment of ["attack", "nowhere", "__proto__"]) {
          const { status } = await relay.admin("GET", `/v1/events/${environment}/${position}`);
          check(status === 400 || status === 404, `${environment}/${cut(position, 30)}: answered ${status}`);
        }
      await unblocked(relay, "a hundred looks at an event", async () => {
        const look = { port: relay.adminPort, method: "GET", path: "/v1/events/attack/0", timeoutMs: 20_000 };
        const { byStatus } = await flood(100, 100, () => look);
        check(byStatus.get(200) === 100, `answered ${statuses(byStatus)}`);
      });
    },
  },
  {
    name: "config-check-hostile",
    holds: "configurations of bombs, depth, prototypes' names and 900 KB are faults, in bounds, and change nothing",
    scene: PLAIN,
    limitMs: 120_000,
    async run({ relay }) {
      const before = (await relay.admin("GET", "/v1/config")).text;
      const load = keepSending(relay);
      for (const text of hostileTexts())
        await unblocked(relay, `checking ${cut(text, 30)}`, async () => {
          const { status, text: answer } = await relay.admin("POST", CHECK, {
            body: JSON.stringify({ text }),
            timeoutMs: 20_000,
          });
          check(status === 200 || status === 400, `${cut(text, 30)}: answered ${status} ${cut(answer)}`);
          check(status === 400 || answer.includes('"ok":false'), `${cut(text, 30)}: ${cut(answer)}`);
          check(answer.length < MIB, `${cut(text, 30)}: the answer has ${answer.length} characters`);
        });
      await load.stop();
      check((await relay.admin("GET", "/v1/config")).text === before, "the configuration has changed");
    },
  },
  {
    name: "config-check-bodies-held",
    holds: "250 bodies of 2 MB that do not end, and some of 100 MB, are held in bounds",
    scene: PLAIN,
    async run({ relay }) {
      const before = relay.rssMb;
      const head = ["content-type: application/json", `host: 127.0.0.1:${relay.adminPort}`, "content-length: 2000000"];
      const held = await Promise.all(
        Array.from({ length: 250 }, async () => {
          const connection = await RawConnection.open(relay.adminPort);
          void connection.write(rawRequest(`POST ${CHECK} HTTP/1.1`, head, Buffer.alloc(1_900_000, "x")));
          return connection;
        }),
      );
      const large = await exchangeRaw(
        relay.adminPort,
        rawRequest(`POST ${CHECK} HTTP/1.1`, head.slice(0, 2), Buffer.alloc(100_000_000, "x")),
        20_000,
      );
      check(large === undefined || large.status === 413 || large.status === 503, `100 MB: answered ${large?.status}`);
      await relay.measure();
      check(relay.rssMb - before < 150, `resident memory rose from ${before} to ${relay.rssMb} MB`);
      check(relay.peakRssMb < RSS_MAX_MB, `${relay.peakRssMb} MB`);
      const { status } = await relay.admin("GET", "/v1/accounts");
      check(status === 200, `another look was answered ${status}`);
      for (const one of held) one.reset();
    },
  },
];
