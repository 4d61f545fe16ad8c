/**
 * `node health.mjs [URL]`: exits 0 when the relay answers its health check, else 1 with a line that
 * says why. Without a URL it is the port where events are accepted. A relay with TLS is recognised
 * by its refusal of plain HTTP.
 */
import { request as plain } from "node:http";
import { request as secure } from "node:https";

const TIMEOUT_MS = 4_000;
const DEFAULT_PORT = "8080";

/** `WAYBILL_LISTEN` is host:port. */
const port = /:(\d+)$/.exec(process.env.WAYBILL_LISTEN ?? "")?.[1] ?? DEFAULT_PORT;
const url = new URL(process.argv[2] ?? `http://127.0.0.1:${port}/health`);

function get(target) {
  return new Promise((resolve, reject) => {
    const request = target.protocol === "https:" ? secure : plain;
    // The certificate names the hosts that clients use, and this is the relay's own machine.
    request(target, { timeout: TIMEOUT_MS, rejectUnauthorized: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.on("error", reject).on("end", () => resolve({ status: response.statusCode, text }));
    })
      .on("timeout", function () {
        this.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`));
      })
      .on("error", reject)
      .end();
  });
}

try {
  let answer = await get(url);
  if (answer.status === 400 && answer.text.includes("tls_required"))
    answer = await get(new URL(url.href.replace(/^http:/, "https:")));
  if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.text}`);
} catch (error) {
  process.stderr.write(`${url.href}: ${error.message}\n`);
  process.exitCode = 1;
}
