/** A configuration that is read in a thread of its own: the same result, and bounds. */
import { nodeClock } from "@waybill/node";
import { expect, test } from "vitest";
import { ConfigError } from "../../src/config/faults.ts";
import { loadConfig } from "../../src/config/load.ts";
import { loadConfigAside } from "../../src/config/load-aside.ts";

const text = `
listen: 127.0.0.1:0
dataDirectory: /tmp/nowhere
environments:
  test:
    sources: { web: { protocol: segment, writeKeys: ["\${KEY}"] } }
    destinations: { x: { vendor: segment, writeKey: secret-key, filter: { include: ["A*"] }, redact: [context.ip] } }
`;
const env = { KEY: "from-the-environment", NOTHING: undefined };

test("it is the configuration that the same text is without a thread", async () => {
  expect(await loadConfigAside({ file: "f", text, env })).toEqual(loadConfig({ file: "f", text, env }));
});

test("its faults have their places, and the loop goes on meanwhile", async () => {
  let turns = 0;
  const count = (): void => void nodeClock.after(1, () => ((turns += 1), count()));
  count();
  const large = `nonsense: 1\n${Array.from({ length: 10_000 }, (_, at) => `k${at}: &k${at} ${at}`).join("\n")}`;
  const refused = loadConfigAside({ file: "f", text: large, env });
  await expect(refused).rejects.toBeInstanceOf(ConfigError);
  const { faults } = await refused.then(
    () => new ConfigError([]),
    (error: unknown) => error as ConfigError,
  );
  expect(faults[0]).toMatchObject({ file: "f", line: 1 });
  expect(turns).toBeGreaterThan(10);
}, 20_000);

test("of thousands of faults the first hundred are reported", () => {
  const many = Array.from({ length: 5_000 }, (_, at) => `unknown-${at}: 1`).join("\n");
  for (const all of [many, `environments: {${Array.from({ length: 5_000 }, (_, at) => `"E ${at}": {}`).join(", ")}}`])
    try {
      loadConfig({ file: "f", text: all, env });
      expect.unreachable();
    } catch (error) {
      expect((error as ConfigError).faults.length).toBeLessThan(300);
      expect((error as ConfigError).faults.length).toBeGreaterThan(90);
    }
});
