/** NODE_EXTRA_CA_CERTS is read by Node when a process starts: so by a process of its own. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createTestCa, type TestCa } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";

async function startVendor(ca: TestCa): Promise<string> {
  const server = https.createServer({ ...ca.issue("localhost") }, (_request, response) => response.end("taken"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://localhost:${(server.address() as AddressInfo).port}`;
}

const SCRIPT = `
import { createOutboundTransport } from ${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)};
const { urls, ca } = JSON.parse(process.argv[1]);
const transport = createOutboundTransport(ca === undefined ? {} : { ca: [ca] });
// Requests do not keep a process alive.
const held = setInterval(() => undefined, 1_000);
const answers = [];
for (const url of urls) {
  const request = { method: "GET", url, headers: {}, body: [] };
  answers.push(await transport(request, new AbortController().signal).then(({ body }) => body, () => "refused"));
}
clearInterval(held);
console.log(JSON.stringify(answers));
`;

test("the CAs of NODE_EXTRA_CA_CERTS are trusted, alone and beside those of a destination", async () => {
  const extra = createTestCa("Extra");
  const own = createTestCa("Own");
  const urls = [await startVendor(extra), await startVendor(own)];
  const directory = mkdtempSync(join(tmpdir(), "waybill-roots-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "extra.pem");
  writeFileSync(file, extra.cert);
  const answersWith = async (ca?: string): Promise<unknown> => {
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: file };
    const args = ["--input-type=module", "-e", SCRIPT, JSON.stringify({ urls, ca })];
    return JSON.parse((await promisify(execFile)(process.execPath, args, { env, timeout: 20_000 })).stdout);
  };
  expect(await answersWith()).toEqual(["taken", "refused"]);
  expect(await answersWith(own.cert)).toEqual(["taken", "taken"]);
});
