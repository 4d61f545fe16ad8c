/**
 * Requests as text that people can read and keep: `POST /v1/batch`, a line per header, an empty
 * line, the body. A line `fuzz-encode: gzip` says that the body is compressed on its way; what a
 * head says of its own length and connection is left out, so that where the request ends is never
 * in doubt.
 */
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import type { SeededRandom } from "@waybill/testing";
import { ENCODINGS, WORDS } from "./dictionary.ts";
import { damage } from "./mutate.ts";
import { mutateJson } from "./mutate-json.ts";

export interface RequestText {
  readonly line: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
}

const ENCODE = "fuzz-encode";
const FRAMING = new Set([
  "connection",
  "content-length",
  "transfer-encoding",
  "expect",
  "upgrade",
  "proxy-connection",
  "keep-alive",
  ENCODE,
]);
const COMPRESS: ReadonlyMap<string, (body: Buffer) => Buffer> = new Map([
  ["gzip", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
]);

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND", "M-SEARCH"];
const PATHS = [
  "/v1/batch",
  "/v1/track",
  "/v1/t",
  "/v1/m",
  "/v1/import",
  "/v1/identify/alias",
  "/v1/events/batch",
  "/v1/metrics/steps/event",
  "/v1/metrics/%2e%2e%2f%2e%2e/event",
  "/v1/users/u/metrics/steps",
  "/v1/users/../../admin",
  "/users/constructor",
  "/events",
  "/",
  "//",
  "//v1//batch//",
  "/bulk",
  "/mobile/events/bulk",
  "/events/bulk/env-in",
  "/events/bulk/__proto__",
  "/a/env-in.gif?d=W10",
  "/a/%zz.gif?d=%",
  "/diagnostic",
  "/batch/",
  "/i/v0/e/",
  "/s/web/v1/batch",
  "/s/hog/batch",
  "/s/constructor/v1/batch",
  "/s/__proto__/v1/batch",
  "/eu/v1/batch",
  "/v1/batch?a=%zz&api_key=x&api_key=gflux_secret_in",
  "/health",
  "/ready",
  "*",
  "http://a.test/v1/batch",
  "/__proto__",
  "/constructor",
];
const HEADERS = [
  "authorization",
  "content-encoding",
  "content-type",
  "x-api-key",
  "x-retry-count",
  "idempotency-key",
  "x-idempotency-key",
  "x-launchdarkly-event-schema",
  "x-launchdarkly-payload-id",
  "x-launchdarkly-tags",
  "x-request-id",
  "tenant-id",
  "origin",
  "host",
  "access-control-request-headers",
  "__proto__",
  "constructor",
  "cookie",
];
const VALUES = [
  "Basic c2VnbWVudC1rZXk6",
  "Basic cGxhaW4ta2V5Og==",
  "Bearer lt_live_in",
  "Bearer gflux_secret_in",
  "Bearer valued-in",
  "in.secret",
  "sdk-in",
  "mob-in",
  "sdk-memory",
  "api_key sdk-in",
  "hog.test:80",
  "a, b",
  "-1",
  "99999999999999999999",
  "é",
  "x".repeat(8_000),
  "\t",
];

export function readRequest(input: Buffer): RequestText {
  const text = input.toString("latin1");
  const end = text.indexOf("\n\n");
  const [line = "", ...headers] = (end === -1 ? text : text.slice(0, end)).split("\n");
  return { line, headers, body: end === -1 ? Buffer.alloc(0) : input.subarray(end + 2) };
}

export function writeRequest({ line, headers, body }: RequestText): Buffer {
  return Buffer.concat([Buffer.from(`${[line, ...headers].join("\n")}\n\n`, "latin1"), body]);
}

/** What goes over the wire: one request, and the wish that the connection ends after it. */
export function bytesOf({ line, headers, body }: RequestText): Buffer {
  const encode = headers.find((header) => header.startsWith(`${ENCODE}:`))?.slice(ENCODE.length + 1);
  const sent = COMPRESS.get(encode?.trim() ?? "")?.(body) ?? body;
  const kept = headers.filter((header) => !FRAMING.has((header.split(":")[0] ?? "").trim().toLowerCase()));
  if (!kept.some((header) => /^host:/i.test(header))) kept.push("host: relay.test");
  const head = [`${line} HTTP/1.1`, ...kept, `content-length: ${sent.length}`, "connection: close"];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), sent]);
}

/** A few things about a request are others. */
export function mutateRequest(random: SeededRandom, seeds: readonly Buffer[]): RequestText {
  const all = seeds.map(readRequest);
  let { line, headers, body } = random.pick(all);
  for (let left = 1 + random.below(4); left > 0; left--)
    switch (random.below(8)) {
      case 0:
        line = `${random.pick(METHODS)} ${line.split(" ").slice(1).join(" ")}`;
        break;
      case 1:
        line = `${line.split(" ")[0]} ${pathFrom(random)}`;
        break;
      case 2:
        headers = [...headers, `${random.pick(HEADERS)}: ${valueFrom(random)}`];
        break;
      case 3:
        headers = headers.map((header) =>
          random.chance(0.5) ? `${header.split(":")[0]}: ${valueFrom(random)}` : header,
        );
        break;
      case 4:
        headers = [
          ...headers,
          `content-encoding: ${random.pick(ENCODINGS)}`,
          ...(random.chance(0.7) ? [`${ENCODE}: ${random.pick([...COMPRESS.keys()])}`] : []),
        ];
        break;
      case 5:
        body = damage(random, Buffer.from(body), [random.pick(all).body], WORDS);
        break;
      case 6:
        body = random.pick(all).body;
        break;
      default:
        body = Buffer.from(mutateJson(random, [body.toString(), random.pick(all).body.toString()]));
    }
  return { line, headers, body };
}

function pathFrom(random: SeededRandom): string {
  const path = random.pick(PATHS);
  if (random.chance(0.7)) return path;
  const damaged = damage(random, Buffer.from(path), [Buffer.from(random.pick(PATHS))], WORDS).toString("latin1");
  return damaged.replaceAll(/[\s]/g, "%20");
}

function valueFrom(random: SeededRandom): string {
  const value = random.pick(random.chance(0.3) ? WORDS : VALUES);
  const damaged = random.chance(0.7) ? value : damage(random, Buffer.from(value), [], [value]).toString("latin1");
  // A line's end would begin another header, or end the head.
  return damaged.replaceAll(/[\r\n]/g, " ");
}

export interface ResponseText {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** The one answer that came back. **Errors**: it is none, or more than one. */
export function readResponse(bytes: Buffer, isHead = false): ResponseText {
  const end = bytes.indexOf("\r\n\r\n");
  const [line = "", ...lines] = bytes.subarray(0, Math.max(0, end)).toString("latin1").split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
  if (!(status >= 200)) throw new Error(`no answer: ${JSON.stringify(bytes.toString("latin1").slice(0, 200))}`);
  const headers = new Map(
    lines.map((one) => [one.slice(0, one.indexOf(":")).toLowerCase(), one.slice(one.indexOf(":") + 1).trim()]),
  );
  const body = bytes.subarray(end + 4);
  const length = headers.get("content-length");
  if (length !== undefined && Number(length) !== body.length && !isHead && status !== 204 && status !== 304)
    throw new Error(`${body.length} bytes after a head that speaks of ${length}`);
  return { status, headers, body };
}
