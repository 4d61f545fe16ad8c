/** Configuration files: `waybill config check`, as an operator or a pipeline calls it. */
import { writeFileSync } from "node:fs";
import { check, cut, inParallel, pause } from "../lib/check.ts";
import { type Said, waybill } from "../lib/command.ts";
import { configOf } from "../lib/scenes.ts";
import type { Attack, Stage } from "../lib/stage.ts";

const CONFIG_FAULT = 78;
const SECRET = "very-secret-key-0123";

async function checkFile(stage: Stage, config: object | string | Buffer): Promise<Said> {
  const file = `${stage.directory()}/waybill.yaml`;
  const isText = typeof config === "string" || Buffer.isBuffer(config);
  writeFileSync(file, isText ? config : JSON.stringify(config));
  return waybill(["config", "check", file]);
}

function withSource(stage: Stage, source: object, more: object = {}): Record<string, unknown> {
  const config = configOf(stage.directory(), {
    sources: { odd: { protocol: "segment", ...source } },
    destinations: { out: { vendor: "http", url: "http://127.0.0.1:1" } },
  });
  return { ...config, ...more };
}

/** One or more faults, reported as such. */
function checkFault(said: Said, what: string, about?: RegExp): void {
  check(said.code === CONFIG_FAULT, `${what}: ended with ${said.code}: ${cut(said.out + said.err)}`);
  check(!/\n\s+at /.test(said.err), `${what}: the message is a stack: ${cut(said.err)}`);
  if (about !== undefined) check(about.test(said.err), `${what}: the message does not say why: ${cut(said.err)}`);
}

export const configs: readonly Attack[] = [
  {
    name: "config-admin-open-to-the-network",
    holds: "an admin API that is not on loopback and has no token is a configuration fault",
    async run(stage) {
      await inParallel(["0.0.0.0:8081", "[::]:8081", "192.0.2.1:8081"], 3, async (listen) => {
        const open = await checkFile(stage, withSource(stage, { writeKeys: ["k"] }, { admin: { listen } }));
        checkFault(open, listen, /admin|token/);
        const admin = { listen, token: "attack-token-1" };
        const said = await checkFile(stage, withSource(stage, { writeKeys: ["k"] }, { admin }));
        check(said.code === 0, `${listen} with a token: ended with ${said.code}: ${cut(said.err)}`);
      });
      await inParallel(["127.0.0.1:8081", "[::1]:8081", "localhost:8081"], 3, async (listen) => {
        const said = await checkFile(stage, withSource(stage, { writeKeys: ["k"] }, { admin: { listen } }));
        check(said.code === 0, `${listen}: ended with ${said.code}: ${cut(said.err)}`);
      });
    },
  },
  {
    name: "config-faults-tell-no-keys",
    limitMs: 120_000,
    holds: "no fault of a key, an expiry, a token or a secret prints it",
    async run(stage) {
      const odd: readonly object[] = [
        { writeKeys: [{ key: SECRET, expires: "tomorrow" }] },
        { writeKeys: [{ key: SECRET, expires: "9999-99-99T99:99:99Z" }] },
        { writeKeys: [{ key: SECRET, expires: SECRET }] },
        { writeKeys: [{ key: SECRET, expiry: 1 }] },
        { writeKeys: [SECRET, SECRET] },
        { writeKeys: [`${SECRET}\n`] },
        { writeKeys: [`${SECRET}${"x".repeat(300)}`] },
        { writeKeys: SECRET },
        { writeKeys: { [SECRET]: 1 } },
        { writeKeys: [["list", SECRET]] },
      ];
      await inParallel(odd, 3, async (source) => {
        const said = await checkFile(stage, withSource(stage, source));
        check(
          !`${said.out}${said.err}`.includes(SECRET),
          `${cut(JSON.stringify(source), 60)}: the key is printed: ${cut(said.err)}`,
        );
        check(!/\n\s+at /.test(said.err), `the message is a stack: ${cut(said.err)}`);
      });
      for (const more of [{ admin: { token: [SECRET] } }, { admin: { token: { a: SECRET } } }]) {
        const said = await checkFile(stage, withSource(stage, { writeKeys: ["k"] }, more));
        check(!`${said.out}${said.err}`.includes(SECRET), `the token is printed: ${cut(said.err)}`);
      }
      const destination = {
        vendor: "http",
        url: `https://user:${SECRET}@example.com/`,
        signingSecret: SECRET.slice(0, 3),
        headers: { a: [SECRET] },
      };
      const said = await checkFile(stage, configOf(stage.directory(), { destinations: { odd: destination } }));
      check(!said.err.includes(SECRET), `a destination's secret is printed: ${cut(said.err)}`);
    },
  },
  {
    name: "config-keys-odd",
    limitMs: 120_000,
    holds: "keys that are not ASCII, have spaces or control characters are taken or faults, never a stack",
    async run(stage) {
      const keys = [
        "schl\u00fcssel",
        "\u4e2d\u6587",
        "\ud83d\ude00",
        "a b",
        "a\tb",
        "a\u0000b",
        "\u0100",
        "a:b",
        "__proto__",
        "\u200b",
      ];
      await inParallel(keys, 3, async (key) => {
        for (const config of [
          withSource(stage, { writeKeys: [key] }),
          configOf(stage.directory(), {
            destinations: { odd: { vendor: "segment", url: "http://127.0.0.1:1", writeKey: key } },
          }),
        ]) {
          const said = await checkFile(stage, config);
          check(
            said.code === 0 || said.code === CONFIG_FAULT,
            `${JSON.stringify(key)}: ended with ${said.code}: ${cut(said.err)}`,
          );
          check(!/\n\s+at /.test(said.err), `${JSON.stringify(key)}: the message is a stack: ${cut(said.err)}`);
          if (said.code !== 0) continue;
          const relay = await stage.tryLaunch({ directory: stage.directory(), config });
          check(
            !("text" in relay) || !/\n\s+at /.test(relay.text),
            `${JSON.stringify(key)}: passes the check, and the start is a stack: ${"text" in relay ? cut(relay.text) : ""}`,
          );
          if (!("text" in relay)) await relay.kill();
        }
      });
    },
  },
  {
    name: "config-files-odd",
    limitMs: 120_000,
    holds: "noise, alias bombs, deep nesting, prototypes' names and 20 MB are faults within seconds",
    async run(stage) {
      const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi"
        .split("")
        .map(
          (name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${"abcdefgh"[index]}`).join(",")}]`,
        )
        .join("\n")}\n`;
      const odd = [
        "",
        "\u0000",
        "x",
        "[",
        "null",
        "- 1",
        bomb,
        "[".repeat(50_000),
        `x: ${"y".repeat(20_000_000)}`,
        "__proto__: {}",
        "environments: {__proto__: {sources: {}, destinations: {}}}",
        "environments: {a: {sources: {constructor: 1}, destinations: {toString: {}}}}",
        "environments: &a {b: *a}",
        "<<: x",
        "? [a]\n: b",
        "!!binary x",
        "%YAML 9.9\n---\nx",
        "listen: ${",
        "listen: ${A:-${B}}",
        Buffer.from("fffe00", "hex"),
      ];
      await inParallel(odd, 3, async (text) => checkFault(await checkFile(stage, text), cut(String(text), 30)));
      const missing = await waybill(["config", "check", `${stage.directory()}/none.yaml`]);
      check(missing.code !== 0 && !/\n\s+at /.test(missing.err), `a missing file: ${cut(missing.err)}`);
      const folder = await waybill(["config", "check", stage.directory()]);
      check(folder.code !== 0 && !/\n\s+at /.test(folder.err), `a folder: ${cut(folder.err)}`);
    },
  },
  {
    name: "config-private-addresses",
    holds: "addresses that lead into private networks are refused in every spelling, unless allowed",
    async run(stage) {
      const good = await stage.vendor();
      const hosts = [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[::7f00:1]",
        "[::127.0.0.1]",
        "[fec0::1]",
        "[fc00::1]",
        "[fe80::1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "localhost",
        "[::]",
      ];
      const destinations = Object.fromEntries(
        hosts.map((host, index) => [
          `d${index}`,
          {
            vendor: "segment",
            url: `http://${host}:${good.port}`,
            writeKey: "k",
            timeout: "2s",
            backoff: { base: "50ms", max: "200ms" },
          },
        ]),
      );
      const directory = stage.directory();
      const config = configOf(directory, { destinations, extra: { network: {} } });
      const relay = await stage.launch({ directory, config });
      await stage.send([{ type: "track", event: "E", userId: "u", messageId: "private-1" }], relay);
      stage.acknowledged.clear();
      await pause(2_500);
      check(good.received === 0, `${good.received} requests reached a private address`);
      for (const { destination, lastError, reason, account } of (await relay.accounts()).lanes) {
        const host = hosts[Number(destination.slice(1))];
        check(account.delivered === 0, `${host}: delivered`);
        check(
          /private|loopback|link-local/.test(`${lastError ?? ""} ${reason ?? ""}`),
          `${host}: was tried: ${cut(lastError ?? "")}`,
        );
      }
    },
  },
];
