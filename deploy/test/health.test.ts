/** The image's health check, as a process, against a relay with and without TLS. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startServer } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { filesOf } from "../../packages/relay/test/lib/tls.ts";
import { startWorld } from "../../packages/relay/test/lib/world.ts";

const SCRIPT = fileURLToPath(new URL("../docker/health.mjs", import.meta.url));

interface Ended {
  readonly code: number;
  readonly stderr: string;
}

async function check(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> {
  try {
    const { stderr } = await promisify(execFile)(process.execPath, [SCRIPT, ...args], { env });
    return { code: 0, stderr };
  } catch (error) {
    const { code = -1, stderr = "" } = error as Partial<Ended>;
    return { code, stderr };
  }
}

test("the health check finds the relay at the port that it listens on", async () => {
  const { relay } = await startWorld();
  const { port } = new URL(relay.intakeUrl);
  expect(await check({ WAYBILL_LISTEN: `0.0.0.0:${port}` })).toEqual({ code: 0, stderr: "" });
});

test("the health check of a relay with TLS speaks TLS, whatever its certificate names", async () => {
  const { relay } = await startWorld({ extra: { tls: filesOf() } });
  const { port } = new URL(relay.intakeUrl);
  expect(await check({ WAYBILL_LISTEN: `:::${port}` })).toEqual({ code: 0, stderr: "" });
});

test("the health check fails with a reason where nobody or another answers", async () => {
  const failing = await startServer(() => ({ status: 503, headers: {}, body: "no" }));
  onTestFinished(() => failing.close());
  expect(await check({}, `${failing.url}/health`)).toEqual({
    code: 1,
    stderr: `${failing.url}/health: status 503: no\n`,
  });
  const silent = await startServer(() => ({ status: 200, headers: {}, body: "" }));
  await silent.close();
  const { code, stderr } = await check({}, silent.url);
  expect(code).toBe(1);
  expect(stderr).toContain("ECONNREFUSED");
});
