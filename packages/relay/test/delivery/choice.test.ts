/** Filter, sample and redaction, one event at a time. */
import { readTrophyText, writeTrophy } from "@waybill/vendors";
import { expect, test } from "vitest";
import type { DestinationConfig } from "../../src/config/types.ts";
import { createChoice } from "../../src/delivery/choice.ts";

type Choice = NonNullable<ReturnType<typeof createChoice>>;

function choice(config: Partial<DestinationConfig>): Choice {
  const created = createChoice({ redact: [], ...config } as DestinationConfig);
  if (created === undefined) throw new Error("everything passes");
  return created;
}

const track = (more: object = {}): string =>
  JSON.stringify({ type: "track", event: "E", userId: "u", messageId: "m", ...more });

function textOf(chosen: ReturnType<Choice>): { readonly text: string; readonly metadata: string } {
  if (!("text" in chosen)) throw new Error(JSON.stringify(chosen));
  return chosen;
}

test("a field is taken out beside the batch as in the event, and equal metadata stays equal", () => {
  const redact = choice({ redact: ["context.ip", "integrations.Letter.key", "skewMs", "properties.email"] });
  const metadata =
    '{"context":{"ip":"10.1.2.3","app":{"name":"x"}},"integrations":{"Letter":{"key":1,"on":true}},"skewMs":-5000}';
  const first = textOf(
    redact(track({ context: { ip: "10.1.2.3", page: {} }, properties: { email: "a@b" } }), metadata, "k1"),
  );
  const second = textOf(redact(track(), metadata, "k2"));
  expect(first.metadata).toBe('{"context":{"app":{"name":"x"}},"integrations":{"Letter":{"on":true}},"skewMs":-5000}');
  expect(second.metadata).toBe(first.metadata);
  expect(JSON.parse(first.text)).toMatchObject({ context: { page: {} }, properties: {} });
  expect(first.text + first.metadata).not.toMatch(/10\.1\.2\.3|a@b/);
});

test("beside the batch too a name that is twice hides nothing, and a whole member goes", () => {
  const twice = textOf(choice({ redact: ["context.ip"] })(track(), '{"context":{"ip":1,"\\u0069p":2,"a":1}}', "k"));
  expect(twice.metadata).toBe('{"context":{"a":1}}');
  expect(textOf(choice({ redact: ["context"] })(track(), '{"context":{"ip":1}}', "k")).metadata).toBe("");
  expect(textOf(choice({ redact: ["context.ip"] })(track(), '{"integrations":{"All":false}}', "k")).metadata).toBe(
    '{"integrations":{"All":false}}',
  );
  // Of other vendors nothing that an event may hold is there.
  const metadata = "launchdarkly server 4 context.ip";
  expect(textOf(choice({ redact: ["context.ip"] })("{}", metadata, "k")).metadata).toBe(metadata);
});

test("without a redaction the metadata keeps its bytes", () => {
  const metadata = '{"context":{"n":1.00}}';
  expect(textOf(choice({ filter: {} })(track(), metadata, "k")).metadata).toBe(metadata);
  expect(textOf(choice({ sampleRate: 1 })(track(), metadata, "k")).metadata).toBe(metadata);
});

test.each(["[1]", "[null]", "null", "5", '"x"', "[]", "true"])(
  "%s is not an object: it passes a redaction and a sample as it is",
  (text) => {
    for (const metadata of ["", "launchdarkly server 4 ", "posthog"])
      expect(choice({ redact: ["context.ip", "0"], sampleRate: 0.999_999 })(text, metadata, "k")).toEqual({
        text,
        metadata,
      });
  },
);

test("names that every object has are fields like others", () => {
  const text = '{"type":"track","userId":"u","__proto__":{"x":1,"y":2},"constructor":{"name":1},"a":{"toString":3}}';
  const { text: left } = textOf(
    choice({ redact: ["__proto__.x", "constructor.name", "a.toString", "hasOwnProperty", "a.valueOf"] })(text, "", "k"),
  );
  expect(left).toBe('{"type":"track","userId":"u","__proto__":{"y":2},"constructor":{},"a":{}}');
});

test("names that every object has are not there unless they are", () => {
  const text = '{"type":"track","userId":"u","a":1}';
  const redact = ["__proto__.x", "constructor", "toString.x"];
  expect(textOf(choice({ redact })(text, "", "k"))).toEqual({ text, metadata: "" });
});

test("a name or a user without a text is filtered and sampled all the same", () => {
  const odd = '{"type":"track","userId":{"toString":null},"messageId":"m","event":{"toString":null}}';
  expect(choice({ filter: { include: ["Order *"] } })(odd, "", "k")).toEqual({ dropped: "filtered" });
  expect(choice({ filter: { exclude: ["Order *"] } })(odd, "", "k")).toHaveProperty("text");
  expect(choice({ filter: { types: ["track"] } })('{"type":{"toString":null}}', "", "k")).toEqual({
    dropped: "filtered",
  });
  const sampled = Array.from({ length: 200 }, (_, index) =>
    choice({ sampleRate: 0.5 })(`{"type":"track","userId":{"toString":${index}}}`, "", "k"),
  ).filter((chosen) => "text" in chosen).length;
  expect(sampled).toBeGreaterThan(60);
  expect(sampled).toBeLessThan(140);
});

test("what is not JSON, or does not match its wire format, throws: that event is rejected", () => {
  for (const config of [{ filter: {} }, { sampleRate: 0.5 }, { redact: ["a"] }])
    for (const metadata of ["", "trophy", "posthog"]) expect(() => choice(config)("{", metadata, "k")).toThrow();
});

test("Trophy: the event is the body; its head stays, and the rate does not be in it", () => {
  const stored = writeTrophy({ metric: "m", key: "k" }, '{"user":{"id":"u","email":"a@b"},"value":1}');
  const { text } = textOf(choice({ redact: ["user.email", "metric"], sampleRate: 0.999_999 })(stored, "trophy", "k"));
  expect(readTrophyText(text)).toEqual({ metric: "m", key: "k", body: '{"user":{"id":"u"},"value":1}' });
});

test("the rate is in the context of those that have one, not in LaunchDarkly's, which is the user", () => {
  const sampled = choice({ sampleRate: 0.999_999 });
  expect(JSON.parse(textOf(sampled(track({ context: { a: 1 } }), "", "k")).text)).toMatchObject({
    context: { a: 1, sample_rate: 0.999_999 },
  });
  expect(JSON.parse(textOf(sampled(track({ context: "odd" }), "", "k")).text)).toMatchObject({
    context: { sample_rate: 0.999_999 },
  });
  const custom = '{"kind":"custom","key":"k","userKey":"u"}';
  expect(JSON.parse(textOf(sampled(custom, "launchdarkly server 4 ", "k")).text)).toEqual(JSON.parse(custom));
});
