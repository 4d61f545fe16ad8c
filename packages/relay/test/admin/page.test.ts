/** The page's files: who gets them, with which headers, and what other sites cannot do. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Answered, send } from "../lib/world.ts";
import { serveView } from "./lib/serve-view.ts";

const HTML = { accept: "text/html,application/xhtml+xml" };
const NAVIGATION = {
  ...HTML,
  "sec-fetch-site": "cross-site",
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": "document",
};
const SCRIPT = "console.log('the page');".repeat(50);

/** With a token: the files are for anybody who is answered. */
async function serve({ isBuilt = true } = {}): Promise<{ readonly url: string; readonly directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), "waybill-page-"));
  if (isBuilt) build(directory);
  const guard = { hosts: [], token: "a-long-token", readOnlyToken: undefined };
  const url = await serveView({ guard: () => guard }, directory);
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return { url, directory };
}

function build(directory: string): void {
  mkdirSync(`${directory}/assets`);
  writeFileSync(`${directory}/index.html`, "<!doctype html><title>Waybill</title>");
  writeFileSync(`${directory}/assets/index-abc123.js`, SCRIPT);
  writeFileSync(`${directory}/assets/source.map`, "{}");
  writeFileSync(`${directory}/favicon.svg`, "<svg/>");
  writeFileSync(`${directory}/.hidden`, "secret");
}

function get(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<Answered> {
  return send(url, method, path, "", headers);
}

test("the page is served without a token at / and at each path of a view, under a strict policy", async () => {
  const { url } = await serve();
  for (const [path, headers] of [
    ["/", {}],
    ["/?source=web", HTML],
    ["/d/production/segment", HTML],
    ["/e/production/17", HTML],
    ["/tail", HTML],
  ] as const) {
    const page = await get(url, path, headers);
    expect(page, path).toMatchObject({ status: 200, text: "<!doctype html><title>Waybill</title>" });
    expect(page.headers).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "content-security-policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
    });
    expect(page.headers).not.toHaveProperty("set-cookie");
  }
  const same = await get(url, "/", { "if-none-match": String((await get(url, "/")).headers["etag"]) });
  expect(same).toMatchObject({ status: 304, text: "" });
  expect(await get(url, "/", {}, "HEAD")).toMatchObject({ status: 200, text: "" });
});

test("assets are kept for ever, compressed where that is taken; one that is not there is a 404", async () => {
  const { url } = await serve();
  const script = await get(url, "/assets/index-abc123.js");
  expect(script).toMatchObject({ status: 200, text: SCRIPT });
  expect(script.headers).toMatchObject({
    "content-type": "text/javascript; charset=utf-8",
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
  });
  const response = await fetch(`${url}/assets/index-abc123.js`, { headers: { "accept-encoding": "gzip" } });
  expect(response.headers.get("content-encoding")).toBe("gzip");
  expect(Number(response.headers.get("content-length"))).toBeLessThan(SCRIPT.length);
  expect(await response.text()).toBe(SCRIPT);
  for (const path of ["/assets/index-old.js", "/assets/source.map", "/assets/"])
    expect((await get(url, path, HTML)).status, path).toBe(404);
});

test.each([
  "/../package.json",
  "/assets/../../package.json",
  "/assets/%2e%2e/%2e%2e/package.json",
  "/assets/..%2f..%2fpackage.json",
  "/assets/..%5c..%5cpackage.json",
  "//etc/passwd",
  "/.hidden",
  "/assets/%00",
])("%s leads to no other file", async (path) => {
  const { url } = await serve();
  for (const headers of [{}, HTML]) {
    const { text } = await get(url, path, headers);
    expect(text).not.toMatch(/"dependencies"|root:|secret/);
  }
});

test("a link from another site opens the page; nothing else of another site is answered", async () => {
  const { url } = await serve();
  for (const path of ["/", "/d/production/segment"]) expect((await get(url, path, NAVIGATION)).status).toBe(200);
  const foreign: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["/", { ...NAVIGATION, "sec-fetch-dest": "iframe" }],
    ["/", { ...NAVIGATION, origin: "http://evil.example" }],
    ["/", { ...HTML, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "empty" }],
    [
      "/assets/index-abc123.js",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" },
    ],
    ["/v1/overview", NAVIGATION],
    ["/v1/session", NAVIGATION],
    ["/openapi.json", NAVIGATION],
    ["/v1/nothing", NAVIGATION],
  ];
  for (const [path, headers] of foreign)
    expect(await get(url, path, headers), JSON.stringify([path, headers])).toMatchObject({
      status: 403,
      json: { code: "foreign_origin" },
    });
  for (const path of ["/", "/assets/index-abc123.js"])
    expect(await get(url, path, { ...NAVIGATION, host: "evil.example" })).toMatchObject({
      status: 403,
      json: { code: "unknown_host" },
    });
});

test("what is not the page stays as it was: API routes, methods that change, clients that take no HTML", async () => {
  const { url } = await serve();
  expect((await get(url, "/v1/overview", HTML)).status).toBe(401);
  expect((await get(url, "/nowhere", { authorization: "Bearer a-long-token" })).json).toMatchObject({
    code: "unknown_route",
  });
  expect((await get(url, "/", HTML, "POST")).status).toBe(401);
});

test("a page that is not built says what to do, and is found when it is", async () => {
  const { url, directory } = await serve({ isBuilt: false });
  for (const path of ["/", "/tail", "/assets/index-abc123.js"])
    expect((await get(url, path, HTML)).json).toMatchObject({
      status: 404,
      code: "page_not_built",
      detail: "The page is not built: npm run build",
    });
  build(directory);
  expect((await get(url, "/")).status).toBe(200);
});

test("a browser that has a file gets a 304, however a cache on the way has named it", async () => {
  const { url } = await serve();
  const asset = "/assets/index-abc123.js";
  const tag = String((await get(url, asset)).headers["etag"]);
  for (const known of [tag, `W/${tag}`, `"x", ${tag}`, "*"])
    expect((await get(url, asset, { "if-none-match": known })).status, known).toBe(304);
  for (const other of ["", '"x"', tag.slice(1), "W/"])
    expect((await get(url, asset, { "if-none-match": other })).status, other).toBe(200);
});

test("who takes no gzip gets none", async () => {
  const { url } = await serve();
  const encodingFor = async (encodings: string): Promise<unknown> =>
    (await get(url, "/assets/index-abc123.js", { "accept-encoding": encodings })).headers["content-encoding"];
  for (const encodings of ["gzip", "br, gzip", "gzip;q=0.5, br", "gzip;q=1"])
    expect(await encodingFor(encodings), encodings).toBe("gzip");
  for (const encodings of ["", "br", "gzip;q=0", "br, gzip; q=0.0", "gzip;q=0, br"])
    expect(await encodingFor(encodings), encodings).toBeUndefined();
});

test("the files are those of the first request: a later build takes a restart", async () => {
  const { url, directory } = await serve();
  const { text } = await get(url, "/");
  writeFileSync(`${directory}/index.html`, "<!doctype html><title>Another</title>");
  writeFileSync(`${directory}/assets/later.js`, "later");
  expect((await get(url, "/")).text).toBe(text);
  expect((await get(url, "/assets/later.js")).status).toBe(404);
});
