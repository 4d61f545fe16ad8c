/** What the options of vendors take, what they refuse, and what a refusal must not quote. */
import { bytes, checked, duration, VENDOR_CONFIGS } from "@waybill/vendors/config";
import { expect, test } from "vitest";
import { z } from "zod";

const SECRET = "sk-live-0123456789";

test.each<[string | number, number]>([
  ["5s", 5_000],
  ["1.5m", 90_000],
  ["250ms", 250],
  ["2d", 172_800_000],
  [0, 0],
  [1_500, 1_500],
])("a duration of %s is %d ms", (value, expected) => {
  expect(duration({ description: "d", example: "5s" }).parse(value)).toBe(expected);
});

test.each<[string | number, number]>([
  ["10MB", 10_000_000],
  ["1.5MiB", 1_572_864],
  ["1B", 1],
  [512, 512],
])("a size of %s is %d bytes", (value, expected) => {
  expect(bytes({ description: "d", example: "5MiB" }).parse(value)).toBe(expected);
});

test.each([
  "soon",
  "10Mib",
  "-1s",
  "1.2.3s",
  "",
  "5 s",
  "__proto__",
  "1constructor",
  1.5,
  -1,
  true,
  null,
  [],
  "999999999999999999d",
])("%j is neither a duration nor a size", (value) => {
  for (const schema of [duration({ description: "d" }), bytes({ description: "d" })])
    expect(schema.safeParse(value).error?.issues).toEqual([
      expect.objectContaining({ code: "custom", message: expect.stringMatching(/^it must be (a whole|from)/) }),
    ]);
});

test("a quantity has its default, its bounds and its JSON schema", () => {
  const schema = duration({ description: "How long.", default: "5s", min: 10 });
  expect(schema.parse(undefined)).toBe(5_000);
  expect(schema.safeParse("9ms").success).toBe(false);
  const json = z.toJSONSchema(schema, { io: "input", target: "draft-7" });
  expect(json).toMatchObject({ default: "5s", description: "How long." });
  expect(json.anyOf).toEqual([
    { type: "integer", minimum: 10, maximum: 315_360_000_000 },
    { type: "string", pattern: "^\\d+(\\.\\d+)?(ms|s|m|h|d)$" },
  ]);
});

test("a check of its own keeps the schema that it checks", () => {
  const even = checked(z.int().meta({ description: "d" }), (value) =>
    value % 2 === 0 ? undefined : { message: "is odd" },
  );
  expect(even.parse(4)).toBe(4);
  expect(even.safeParse(3).error?.issues[0]?.message).toBe("is odd");
});

test("each vendor refuses options that it does not have", () => {
  for (const [vendor, { source, destination }] of Object.entries(VENDOR_CONFIGS))
    for (const schema of [source, destination])
      expect(schema.safeParse({ nobodyHasThis: 1 }).error?.issues[0]?.code, vendor).toBe("unrecognized_keys");
});

test("options of LaunchDarkly and Trophy have their defaults, and durations are milliseconds", () => {
  const { launchdarkly, trophy } = VENDOR_CONFIGS;
  expect(launchdarkly.source.parse({})).toEqual({ allowedOrigins: [], allowedHeaders: [], sendEvents: true });
  expect(launchdarkly.source.parse({ memory: {} }).memory).toEqual({ capacity: 1_000, flushInterval: 5_000 });
  expect(launchdarkly.destination.parse({})).toEqual({ inlineUsers: false, flagsFromVendor: false });
  expect(launchdarkly.destination.parse({ eventQueueCleanupInterval: "2h" }).eventQueueCleanupInterval).toBe(7_200_000);
  expect(trophy.destination.parse({ tenantId: "acme" })).toEqual({ tenantId: "acme" });
});

test.each([
  ["launchdarkly", { mobileKey: `${SECRET}\n` }],
  ["launchdarkly", { environmentId: `${SECRET} x` }],
  ["launchdarkly", { flagsUrl: SECRET }],
  ["launchdarkly", { flagsUrl: `https://me:${SECRET}@example.test` }],
  ["launchdarkly", { flagsUrl: `https://example.test/?key=${SECRET}` }],
  ["trophy", { tenantId: `${SECRET}→` }],
] as const)("%s refuses a wrong secret and does not quote it", (vendor, options) => {
  const { error } = VENDOR_CONFIGS[vendor].destination.safeParse(options);
  expect(error?.issues).toHaveLength(1);
  expect(JSON.stringify(error?.issues)).not.toContain(SECRET);
  expect(error?.issues[0]).toMatchObject({ params: { quotes: false } });
});

test("keys of mobile SDKs may have an end, and are each given once", () => {
  const schema = VENDOR_CONFIGS.launchdarkly.sourceKeys?.["mobileKeys"]?.schema;
  const ending = { key: "mob-1", expires: "2027-01-01T00:00:00Z" };
  expect(schema?.parse(["mob-2", ending])).toEqual(["mob-2", ending]);
  for (const wrong of [["a", "a"], [ending, ending], ["a b"], [{ key: "a", expires: "soon" }], [{}], "a"])
    expect(schema?.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
});
