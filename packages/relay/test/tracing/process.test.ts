/** The command as a user starts it: a provider comes from a file that `NODE_OPTIONS` imports. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { BASIC, destination, KEY, send, until } from "../lib/world.ts";

const COMMAND = fileURLToPath(new URL("../../../cli/dist/main.js", import.meta.url));
const REGISTER = new URL("register.mjs", import.meta.url).href;
const TRACE = "0af7651916cd43dd8448eb211c80319c";

interface Sent {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent?: string;
}

async function serve(answer: (body: string, headers: Readonly<Record<string, unknown>>) => void): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      answer(Buffer.concat(chunks).toString(), request.headers);
      response.end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { readonly port: number }).port}`;
}

test("a relay that the command starts traces with the provider of NODE_OPTIONS=--import, to the exporter and to the vendor", async () => {
  const spans: Sent[] = [];
  const atVendor: unknown[] = [];
  const spansUrl = await serve((body) => void spans.push(...(JSON.parse(body) as Sent[])));
  const vendorUrl = await serve((_body, headers) => void atVendor.push(headers["traceparent"]));
  const directory = mkdtempSync(join(tmpdir(), "waybill-tracing-"));
  const file = join(directory, "waybill.yaml");
  const config = {
    listen: "127.0.0.1:0",
    admin: { listen: "127.0.0.1:0" },
    dataDirectory: join(directory, "data"),
    network: { allowPrivateAddresses: true },
    environments: {
      test: {
        sources: { web: { protocol: "segment", writeKeys: [KEY] } },
        destinations: { crm: destination(vendorUrl) },
      },
    },
  };
  writeFileSync(file, JSON.stringify(config));
  const env = { PATH: process.env["PATH"], NODE_OPTIONS: `--import ${REGISTER}`, SPANS_URL: spansUrl };
  const child = spawn(process.execPath, [COMMAND, "relay", "--config", file], { env });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  let out = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      out += String(chunk);
    });
  await until(() => out.includes('"code":"started"') || child.exitCode !== null);
  expect(out).toContain('"code":"tracing_on"');
  const [, intake = ""] = /"intake":"([^"]+)"/.exec(out) ?? [];
  const headers = { ...BASIC, traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
  const answer = await send(intake, "POST", "/v1/track", { type: "track", event: "E", userId: "u" }, headers);
  expect(answer.status).toBe(200);
  await until(() => spans.length >= 3);
  expect(spans.map(({ name }) => name).toSorted()).toEqual(["append", "deliver", "ingest"]);
  for (const { traceId } of spans) expect(traceId).toBe(TRACE);
  const idOf = (name: string): string | undefined => spans.find((span) => span.name === name)?.spanId;
  expect(spans.find(({ name }) => name === "deliver")?.parent).toBe(idOf("ingest"));
  expect(atVendor).toEqual([`00-${TRACE}-${idOf("deliver")}-01`]);
});
