/**
 * The page: files that its build has put beside this package. They hold no data of the relay, so
 * they are served without a token; what the page shows it gets from the API.
 *
 * They are read once, at the first request, and kept (some 200 kB): no path of a request ever
 * reaches the disk, and the page fits the API of this process, also while an upgrade replaces the
 * package's files. A new build takes a restart, as the API beside it does.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { problem, writeAnswer } from "../intake/answers.ts";

/** Where the build of packages/page puts them: the same from `src` and from `dist`. */
const DIRECTORY: string = fileURLToPath(new URL("../../page/", import.meta.url));

const TYPES: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".svg", "image/svg+xml"],
  [".png", "image/png"],
  [".ico", "image/x-icon"],
  [".json", "application/json"],
  [".txt", "text/plain; charset=utf-8"],
  [".webmanifest", "application/manifest+json"],
  [".woff2", "font/woff2"],
]);
/** Those that are smaller when compressed. */
const IS_TEXT = /^(?:text\/|image\/svg|application\/)/;

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** Assets have a hash of their content in their names. */
const IMMUTABLE = "public, max-age=31536000, immutable";

interface StaticFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly gzipped: Buffer | undefined;
  readonly tag: string;
}

const zipped = promisify(gzip);

export class StaticFiles {
  readonly #directory: string;
  #files: Promise<ReadonlyMap<string, StaticFile>> | undefined;

  constructor(directory: string = DIRECTORY) {
    this.#directory = directory;
  }

  /** Answers with the file of the path, or the page for a path of a view. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#files ??= this.#read();
    const files = await this.#files.catch((error: unknown) => {
      // A disk that fails now may not fail for ever.
      this.#files = undefined;
      throw error;
    });
    const [path = "/"] = (request.url ?? "/").split("?");
    // A build that comes later is found.
    if (files.size === 0) this.#files = undefined;
    if (!files.has("/index.html"))
      return writeAnswer(response, problem(404, "page_not_built", "The page is not built: npm run build"));
    const isAsset = path.startsWith("/assets/");
    const file = files.get(path) ?? (isAsset ? undefined : files.get("/index.html"));
    if (file === undefined)
      return writeAnswer(response, problem(404, "unknown_route", "The page has no such file.", SECURITY_HEADERS));
    answerWith(file, { request, response, isAsset });
  }

  async #read(): Promise<ReadonlyMap<string, StaticFile>> {
    const files = new Map<string, StaticFile>();
    for (const name of await listed(this.#directory)) {
      const type = TYPES.get(extname(name));
      if (type === undefined) continue;
      const bytes = await readFile(`${this.#directory}/${name}`);
      const gzipped = IS_TEXT.test(type) ? await zipped(bytes) : undefined;
      const tag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
      files.set(`/${name.replaceAll("\\", "/")}`, { type, bytes, gzipped, tag });
    }
    return files;
  }
}

/** Whether a request that is for no route may be answered with the page or a file of it. */
export function wantsPage({ method, url = "", headers }: IncomingMessage): boolean {
  if (method !== "GET" && method !== "HEAD") return false;
  const [path = ""] = url.split("?");
  if (path === "/" || path.startsWith("/assets/") || path === "/favicon.svg" || path === "/favicon.ico") return true;
  return !path.startsWith("/v1/") && (headers.accept ?? "").includes("text/html");
}

async function listed(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const within = (parent: string): string => parent.slice(directory.length).replace(/^[\\/]+/, "");
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => (within(parentPath) === "" ? name : `${within(parentPath)}/${name}`));
  } catch {
    return [];
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly isAsset: boolean;
}

/** A cache on the way may have made the tag a weak one: it names the same file. */
function isKnown(tag: string, { headers }: IncomingMessage): boolean {
  const known = headers["if-none-match"] ?? "";
  return known.trim() === "*" || known.split(",").some((one) => one.trim().replace(/^W\//, "") === tag);
}

function answerWith({ type, bytes, gzipped, tag }: StaticFile, { request, response, isAsset }: Exchange): void {
  const headers: Record<string, string> = {
    ...SECURITY_HEADERS,
    "cache-control": isAsset ? IMMUTABLE : "no-cache",
    etag: tag,
    vary: "accept-encoding",
  };
  if (isKnown(tag, request)) {
    response.writeHead(304, headers).end();
    return;
  }
  const takesGzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:\s*,|\s*$))/.test(
    String(request.headers["accept-encoding"] ?? ""),
  );
  const isSmaller = takesGzip && gzipped !== undefined && gzipped.length < bytes.length;
  const body = isSmaller ? gzipped : bytes;
  headers["content-type"] = type;
  headers["content-length"] = String(body.length);
  if (isSmaller) headers["content-encoding"] = "gzip";
  response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : body);
}
