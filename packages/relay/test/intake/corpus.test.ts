/**
 * Odd but valid JSON leaves byte-identical; odd and invalid JSON is refused. A thousand events from
 * a seed, and the oddities by name.
 */
import { emulators, SeededRandom, startServer } from "@waybill/testing";
import { frame } from "@waybill/vendors";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, send, startWorld, until } from "../lib/world.ts";

const ODD: readonly string[] = [
  "0",
  "-0",
  "1e400",
  "-1.0E-400",
  "12345678901234567890123456789.000",
  '"\\u0000\\ud800\\udfff\\/\\b"',
  '"\u2028\u2029\ufeff é 😀"',
  '{"a":1,"a":2,"":{"__proto__":null}}',
  "[ ]",
  "{ }",
  "\t[\r\n1 ,\t2 ]",
  "[[[[[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]]]]]",
  '{"constructor":{"toString":1},"\\u006bey":true}',
];
const INVALID: readonly string[] = [
  "01",
  "1.",
  ".5",
  "+1",
  "'a'",
  '"\\x"',
  '"\n"',
  "[1,]",
  '{"a":1,}',
  "{a:1}",
  "undefined",
  "nul",
  '"\\ud8"',
  "[1 2]",
  "\u00a01",
  "// c",
  "0x10",
  "-",
  '{"a" "b"}',
];
const EVENTS = 1_000;

function oddEvent(random: SeededRandom, index: number): string {
  const pick = (): string => ODD[Math.floor(random.next() * ODD.length)] as string;
  const space = (): string => ["", " ", "\t", "\n", "\r\n  "][Math.floor(random.next() * 5)] as string;
  const members = Array.from(
    { length: 1 + Math.floor(random.next() * 5) },
    (_, at) => `"m${at % 3}"${space()}:${space()}${pick()}`,
  );
  // Of one user by either vendor's names: their order is kept.
  return `{${space()}"type":"track",${space()}"messageId":"m-${index}","userId":"u","userKey":"u","event":"E",${members.join(`${space()},`)}${space()}}`;
}

const random = new SeededRandom(20_261_121);
const events = Array.from({ length: EVENTS }, (_, index) => oddEvent(random, index));

/** The elements of the arrays in these bodies, as they are there. */
function elementsOf(bodies: readonly string[], name: string | undefined): string[] {
  return bodies.flatMap((text) => {
    const bytes = Buffer.from(text);
    const framed = frame(bytes, name === undefined ? { kind: "array" } : { kind: "member", name }, {
      allowNonFinite: false,
    });
    if ("code" in framed) throw new Error(framed.message);
    return framed.events.map(({ start, end }) => bytes.subarray(start, end).toString());
  });
}

test("a thousand odd events leave byte-identical at Segment and at LaunchDarkly", async () => {
  const flags = new emulators.LaunchDarklyEmulator();
  const server = await startServer(flags.handle);
  onTestFinished(() => server.close());
  const world = await startWorld();
  const batches = Array.from({ length: 20 }, (_, index) => events.slice(index * 50, index * 50 + 50));
  for (const batch of batches)
    expect((await world.post("/v1/batch", `{"batch" : [${batch.join(" ,\n")}]}`, BASIC)).status).toBe(200);
  await until(() => world.relay.accounts().lanes[0]?.account.pending === 0);
  expect(elementsOf(world.delivered, "batch")).toEqual(events);

  const other = await startWorld({
    sources: { flags: { protocol: "launchdarkly", writeKeys: ["sdk"] } },
    destinations: () => ({
      flags: { vendor: "launchdarkly", url: server.url, writeKey: "out", batch: { linger: "1ms" } },
    }),
  });
  for (const batch of batches)
    expect(
      (
        await send(other.relay.intakeUrl, "POST", "/bulk", ` [${batch.join("\t, ")}]\n`, {
          authorization: "sdk",
          "x-launchdarkly-event-schema": "4",
        })
      ).status,
    ).toBe(202);
  await until(() => other.relay.accounts().lanes[0]?.account.pending === 0);
  expect(
    elementsOf(
      flags.payloads.map(({ body }) => body),
      undefined,
    ),
  ).toEqual(events);
});

test("invalid JSON is refused and nothing of its request is stored", async () => {
  const { relay } = await startWorld({
    sources: {
      web: { protocol: "segment", writeKeys: ["write-key"] },
      flags: { protocol: "launchdarkly", writeKeys: ["sdk"] },
      mail: { protocol: "letter", writeKeys: ["lt"] },
    },
  });
  for (const wrong of INVALID) {
    const event = `{"type":"track","messageId":"m","userId":"u","event":"E","x":${wrong}}`;
    expect((await send(relay.intakeUrl, "POST", "/v1/batch", `{"batch":[${event}]}`, BASIC)).status, wrong).toBe(400);
    expect((await send(relay.intakeUrl, "POST", "/bulk", `[${event}]`, { authorization: "sdk" })).status, wrong).toBe(
      400,
    );
    expect(
      (await send(relay.intakeUrl, "POST", "/v1/batch", `{"batch":[${event}]}`, { authorization: "Bearer lt" })).status,
      wrong,
    ).toBe(400);
  }
  expect(relay.accounts().lanes[0]?.account.accepted).toBe(0);
});
