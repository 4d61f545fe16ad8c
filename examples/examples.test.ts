import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { nodeClock } from "@waybill/node";
import { SegmentTwin, startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);

async function example(
  name: string,
  twins: number,
): Promise<{ readonly output: string; readonly twins: readonly SegmentTwin[] }> {
  const started = await Promise.all(
    Array.from({ length: twins }, async () => {
      const twin = new SegmentTwin({ clock: nodeClock });
      return { twin, server: await startServer(twin.handle) };
    }),
  );
  onTestFinished(async () => {
    for (const { server } of started) await server.close();
  });
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const { stdout } = await run(process.execPath, ["--import", "tsx", file, ...started.map(({ server }) => server.url)]);
  return { output: stdout, twins: started.map(({ twin }) => twin) };
}

test("track delivers its event and says so", async () => {
  const { output, twins } = await example("track", 1);
  expect(output).toBe("{ delivered: 1, rejected: 0, dropped: 0, left: 0 }\n");
  expect(twins[0]?.events).toMatchObject([
    { type: "track", event: { event: "Order Completed", properties: { total: 42 } } },
  ]);
});

test("two-destinations delivers to both", async () => {
  const { output, twins } = await example("two-destinations", 2);
  expect(output).toContain("{ status: 'delivered' }");
  expect(output).toContain("delivered: 4");
  for (const twin of twins) expect(twin.events.map(({ type }) => type)).toEqual(["identify", "track"]);
});
