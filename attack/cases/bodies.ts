/**
 * Bodies: their size, their shape, their ids. Every protocol at its largest must be read within
 * what the loop may be blocked.
 */
import { WRAP } from "../lib/bodies.ts";
import { check, cut, until } from "../lib/check.ts";
import { HOSTILE_VALUES, withMember } from "../lib/hostile-events.ts";
import { type Answer, flood, statuses } from "../lib/http.ts";
import { keepSending } from "../lib/load.ts";
import { configOf, KEYS, PLAIN, segmentTo } from "../lib/scenes.ts";
import { type Attack, basic, KEY, newId, type Stage, track, unblocked } from "../lib/stage.ts";

/**
 * The last ones are as large as each protocol takes by default, with what encloses the events.
 */
const SIZES = [10_000_000, 1_570_000, 522_000, 260_000];
const LARGE_BYTES = 1_570_000;
const LARGE_ANSWER_MS = 15_000;
const NANS = 100_000;
const OTHERS = 57;

interface Call {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Sends one body; it is taken or refused, and the loop is not blocked. `undefined`: refused by the
 * end of the connection, as a body may be that is not read to its end.
 */
async function sendLarge({ relay }: Stage, call: Call, body: string | Buffer): Promise<Answer | undefined> {
  return unblocked(
    relay,
    `${call.path}: a body of ${body.length} bytes, ${cut(String(body).slice(0, 60))},`,
    async () => {
      const answer = await relay.ask({ ...call, body, timeoutMs: LARGE_ANSWER_MS }).catch((error: Error) => {
        check(/EPIPE|ECONNRESET|socket hang up/.test(error.message), error.message);
        return undefined;
      });
      check(!relay.isEnded, `the relay ended: ${relay.lastWords}`);
      check(
        answer === undefined || isAnswer(answer.status),
        `${call.path}: answered ${answer?.status} ${cut(answer?.text ?? "")}`,
      );
      return answer;
    },
  );
}

function isAnswer(status: number): boolean {
  return status === 200 || status === 202 || (status >= 400 && status < 500) || status === 503;
}

const SEGMENT = { path: "/v1/batch", headers: basic(KEY) };

/** As many of `item` as fill `bytes`. */
function filled(item: string, bytes: number): string {
  return `${`${item},`.repeat(Math.max(0, Math.floor(bytes / (item.length + 1)) - 1))}${item}`;
}

function largeOf(protocol: string): Attack {
  const { path, headers, event, wrap } = WRAP[protocol] as (typeof WRAP)[string];
  return {
    name: `large-${protocol}`,
    holds: `up to 10 MB for ${protocol}, of many events, of one, of spaces and of noise, block nothing`,
    scene: PLAIN,
    limitMs: 90_000,
    async run(stage) {
      for (const bytes of SIZES)
        for (const body of [
          wrap(filled(event, bytes)),
          wrap(withMember(event, "pad", `"${"x".repeat(bytes)}"`)),
          wrap(withMember(event, "pad", `[${filled("0", bytes)}]`)),
          wrap(withMember(event, "pad", `{${filled('"\\u0061":1', bytes)}}`)),
          " ".repeat(bytes),
          `"${"\\\\".repeat(bytes / 2)}"`,
        ])
          await sendLarge(stage, { path, headers }, body);
    },
  };
}

export const bodies: readonly Attack[] = [
  {
    name: "bare-nans",
    holds: "100,000 bare NaN overflow no stack, and 57 requests beside them are stored",
    scene: PLAIN,
    quick: true,
    async run(stage) {
      const { relay, acknowledged } = stage;
      for (let round = 0; round < 3; round++) {
        const nans = `{"batch":[{"type":"track","event":"E","userId":"u","messageId":"${newId()}","properties":{"n":[${"NaN,".repeat(NANS)}NaN]}}]}`;
        const ids = Array.from({ length: OTHERS }, () => newId());
        const [answer, others] = await Promise.all([
          relay.ask({ ...SEGMENT, body: nans }),
          flood(OTHERS, OTHERS, (index) => ({
            port: relay.port,
            ...SEGMENT,
            body: JSON.stringify({ batch: [track(ids[index] ?? "")] }),
          })),
        ]);
        check(
          answer.status === 200 || (answer.status >= 400 && answer.status < 500),
          `answered ${answer.status} ${cut(answer.text)}`,
        );
        check(others.byStatus.get(200) === OTHERS, `requests beside it were answered ${statuses(others.byStatus)}`);
        for (const id of ids) acknowledged.add(id);
      }
    },
  },
  {
    name: "bare-nans-everywhere",
    holds: "the same with Infinity, and in the protocols of other vendors",
    scene: PLAIN,
    async run(stage) {
      for (const word of ["NaN", "Infinity", "-Infinity"])
        for (const [protocol, { path, headers, event, wrap }] of Object.entries(WRAP)) {
          const answer = await sendLarge(
            stage,
            { path, headers },
            wrap(withMember(event, "n", `[${`${word},`.repeat(50_000)}0]`)),
          );
          check(answer !== undefined && answer.status !== 503, `${protocol}: answered ${answer?.status}`);
        }
    },
  },
  ...Object.keys(WRAP).map(largeOf),
  {
    name: "large-segment",
    holds: "1.5 and 10 MB for Segment, in the shapes that cost most, block nothing",
    scene: PLAIN,
    limitMs: 90_000,
    async run(stage) {
      const event = '{"type":"track","event":"E","userId":"u"}';
      const shapes = (bytes: number): readonly string[] => [
        `{"batch":[${filled(event, bytes)}]}`,
        `{"batch":[${filled('{"type":"track","messageId":"x"}', bytes)}]}`,
        `{"batch":[${filled('{"\\u0074ype":"track"}', bytes)}]}`,
        `{"batch":[${filled("NaN", bytes)}]}`,
        `{${filled('"batch":[]', bytes)},"batch":[${event}]}`,
        `{"batch":[{"type":"track",${filled('"messageId":"x"', bytes)}}]}`,
        `{"batch":[{"type":"track","messageId":"${"x".repeat(400_000)}"}]}`,
        `{"context":{${filled('"a":1', bytes)}},"batch":[${event}]}`,
        `{"batch":[],"pad":"${"\\u0061".repeat(bytes / 6)}"}`,
        `{"writeKey":"${"x".repeat(bytes)}","batch":[]}`,
        `{"batch":[${filled("[[[[[[[[]]]]]]]]", bytes)}]}`,
        `{"batch":[{"type":"track","n":${"9".repeat(bytes)}}]}`,
      ];
      for (const bytes of [10_000_000, LARGE_BYTES])
        for (const body of shapes(bytes)) await sendLarge(stage, SEGMENT, body);
    },
  },
  {
    name: "large-keyless",
    holds: "1.5 MB without a key, whose key is at the end of the body, block nothing",
    scene: PLAIN,
    async run(stage) {
      const call = { path: "/v1/batch", headers: {} };
      await sendLarge(stage, call, `{"batch":[${filled('{"type":"track"}', LARGE_BYTES)}],"writeKey":"${KEY}"}`);
      await sendLarge(stage, call, `{"batch":[${filled('{"type":"track"}', LARGE_BYTES)}],"writeKey":"wrong"}`);
      await sendLarge(
        stage,
        { path: "/s/hog/batch", headers: {} },
        `{"batch":[${filled('{"event":"e"}', LARGE_BYTES)}],"api_key":"wrong"}`,
      );
    },
  },
  {
    name: "nesting-deep",
    holds: "a million brackets are a 4xx in every protocol, not a stack overflow",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const [protocol, { path, headers, event, wrap }] of [
        ...Object.entries(WRAP),
        ["segment", { ...SEGMENT, event: '{"type":"track"}', wrap: (one: string) => `{"batch":[${one}]}` }] as const,
      ])
        for (const deep of [
          "[".repeat(1_000_000),
          '{"a":'.repeat(200_000),
          `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
        ]) {
          for (const body of [deep, wrap(withMember(event, "deep", deep))]) {
            const { status } = await relay.ask({ path, headers, body, timeoutMs: LARGE_ANSWER_MS });
            check(status < 500, `${protocol}: answered ${status}`);
          }
        }
    },
  },
  {
    name: "utf8-damaged",
    holds: "bytes that are not UTF-8 are refused by every protocol",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const calls = [
        ...Object.entries(WRAP),
        ["segment", { ...SEGMENT, event: '{"type":"track"}', wrap: (one: string) => `{"batch":[${one}]}` }] as const,
      ];
      for (const [protocol, { path, headers, event, wrap }] of calls)
        for (const damage of ["c080", "eda080", "f4908080", "ff", "80", "e282", "c3"]) {
          const text = wrap(withMember(event, "pad", '"@"'));
          const at = text.lastIndexOf("@");
          const body = Buffer.concat([
            Buffer.from(text.slice(0, at)),
            Buffer.from(damage, "hex"),
            Buffer.from(text.slice(at + 1)),
          ]);
          const { status } = await relay.ask({ path, headers, body });
          check(status === 400, `${protocol}, ${damage}: answered ${status}`);
        }
    },
  },
  {
    name: "duplicate-keys",
    holds: "where a member is twice, the last one counts, for keys, ids and batches alike",
    scene: PLAIN,
    async run({ relay, good }) {
      const [first, last] = [newId("first"), newId("last")];
      const inBody = `{"writeKey":"wrong","writeKey":"${KEY}","batch":[${JSON.stringify(track(first))}],"batch":[{"type":"track","event":"E","userId":"u","messageId":"x","messageId":"${last}"}]}`;
      const { status } = await relay.ask({ path: "/v1/batch", body: inBody });
      check(status === 200, `answered ${status}`);
      await until(() => good.ids.has(last), 5_000, "the last of two was not stored");
      check(!good.ids.has(first), "the first of two was stored");
      const wrong = `{"writeKey":"${KEY}","writeKey":"wrong","batch":[]}`;
      check((await relay.ask({ path: "/v1/batch", body: wrong })).status === 401, "the first of two keys counted");
    },
  },
  {
    name: "duplicate-ids-storm",
    holds: "300 parallel requests with the same ids are all answered 200 and stored once",
    scene: PLAIN,
    async run(stage) {
      const { relay, good, acknowledged } = stage;
      const ids = Array.from({ length: 20 }, () => newId("storm"));
      const before = await relay.lane("good");
      const body = JSON.stringify({ batch: ids.map((id) => track(id)) });
      const { byStatus } = await flood(300, 64, () => ({ port: relay.port, ...SEGMENT, body }));
      check(byStatus.get(200) === 300, `answered ${statuses(byStatus)}`);
      await until(() => ids.every((id) => good.ids.has(id)), 5_000, "not all were delivered");
      const after = await relay.lane("good");
      const stored = after.account.accepted - before.account.accepted;
      check(stored === ids.length, `${stored} events were stored, not ${ids.length}`);
      for (const id of ids) acknowledged.add(id);
    },
  },
  {
    name: "ids-odd",
    holds:
      "ids of prototypes' names, control characters, lone surrogates and 400 KB are stored or refused, and not mixed up",
    scene: PLAIN,
    async run({ relay }) {
      const ids = [
        "__proto__",
        "constructor",
        "\u0000",
        "\u001b[2J",
        "a\nb",
        "\ud800",
        "x".repeat(400_000),
        "\u00e9",
        "e\u0301",
        "",
        " ",
        "null",
      ];
      for (const id of ids) {
        const body = JSON.stringify({ batch: [track(id), track(newId())] });
        for (let again = 0; again < 2; again++) {
          const { status, text } = await relay.ask({ ...SEGMENT, body });
          check(status === 200 || status === 413, `${cut(JSON.stringify(id), 30)}: answered ${status} ${cut(text)}`);
        }
      }
      for (const value of HOSTILE_VALUES) {
        const { status } = await relay.ask({
          ...SEGMENT,
          body: `{"batch":[{"type":"track","event":"E","userId":"u","messageId":${value}}]}`,
        });
        check(status === 200 || (status >= 400 && status < 500), `answered ${status}`);
      }
    },
  },
  {
    name: "one-bad-among-many",
    holds: "hostile bodies in the same moment take nothing from 300 healthy ones",
    scene: PLAIN,
    async run(stage) {
      const { relay, acknowledged } = stage;
      const hostile = [
        `{"batch":[{"type":"track","messageId":"x","n":[${"NaN,".repeat(50_000)}0]}]}`,
        "[".repeat(500_000),
        `{"batch":[${"{},".repeat(50_000)}{}]}`,
        `{"batch":[{"type":"track","messageId":"${"x".repeat(500_000)}"}]}`,
        "\u0000".repeat(100_000),
      ];
      const ids = Array.from({ length: 300 }, () => newId());
      const [healthy] = await Promise.all([
        flood(ids.length, 30, (index) => ({
          port: relay.port,
          ...SEGMENT,
          body: JSON.stringify({ batch: [track(ids[index] ?? "")] }),
        })),
        flood(100, 20, (index) => ({ port: relay.port, ...SEGMENT, body: hostile[index % hostile.length] ?? "" })),
      ]);
      check(healthy.byStatus.get(200) === ids.length, `healthy requests were answered ${statuses(healthy.byStatus)}`);
      for (const id of ids) acknowledged.add(id);
    },
  },
  {
    name: "pixel-odd",
    holds: "a pixel with any base64, or none, is an image and no defect",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      const encoded = (text: string): string => encodeURIComponent(Buffer.from(text).toString("base64"));
      for (const d of [
        "",
        "!!!!",
        "====",
        "W10",
        encoded("[]"),
        encoded("[[1]]"),
        encoded("{}"),
        encoded("[null]"),
        encoded("[".repeat(5_000)),
        encoded("[\u0000]"),
        "%ff",
        "a".repeat(9_000),
        encoded('[{"kind":"custom"}]'),
        encoded(`[${HOSTILE_VALUES.slice(0, 10).join(",")}]`),
      ]) {
        const { status } = await relay.ask({ method: "GET", path: `/a/${KEYS.environmentId}.gif?d=${d}` });
        check(status === 200 || (status >= 400 && status < 500), `${cut(d, 30)}: answered ${status}`);
      }
    },
  },
  {
    name: "keyless-prefix-closed",
    holds: "/s/<source> without a key is refused for Segment unless the source says keyless: true",
    scene: PLAIN,
    quick: true,
    async run({ relay }) {
      for (const path of [
        "/s/web/v1/batch",
        "/s/web/v1/track",
        "/s/web//v1/batch/",
        "/s/letter/v1/batch",
        "/s/getfluxly/v1/events",
        "/s/valued/events",
        "/s/trophy/metrics/x/event",
        "/s/flags/bulk",
      ]) {
        const { status } = await relay.ask({ path, body: JSON.stringify({ batch: [track(newId())] }) });
        check(status === 401 || status === 403 || status === 404, `${path} without a key: answered ${status}`);
      }
    },
  },
  {
    name: "keyless-by-configuration",
    holds: "keyless: true opens one source, and no other",
    async run(stage) {
      const good = await stage.vendor();
      const directory = stage.directory();
      const sources = {
        open: { protocol: "segment", writeKeys: ["open-key"], keyless: true },
        closed: { protocol: "segment", writeKeys: ["closed-key"] },
      };
      const relay = await stage.launch({
        directory,
        config: configOf(directory, { sources, destinations: { good: segmentTo(good) } }),
      });
      const id = newId();
      const body = JSON.stringify({ batch: [track(id)] });
      check((await relay.ask({ path: "/s/open/v1/batch", body })).status === 200, "the open source refused");
      check((await relay.ask({ path: "/s/closed/v1/batch", body })).status === 401, "the closed source was open");
      check((await relay.ask({ path: "/v1/batch", body })).status === 401, "no source was named, and it was taken");
      const healthy = keepSending(relay);
      await until(() => good.ids.has(id), 5_000, "the event was not delivered");
      await healthy.stop();
      await stage.verify(relay, good);
    },
  },
];
