/**
 * Reads a request's body: whole, decoded, never larger than the limit, whatever the client claims.
 *
 * A body is counted while it arrives and while it is decoded, so a bomb is stopped at the limit and not after it.
 */
import type { IncomingMessage } from "node:http";
import { type BrotliOptions, brotliDecompress, gunzip, inflate, type ZlibOptions } from "node:zlib";

export type BodyRefusal = "body_too_large" | "unsupported_encoding" | "damaged_encoding" | "overloaded" | "aborted";

export interface BodyLimits {
  /** After decoding. */
  readonly maxBytes: number;
  /** Of all bodies that are being read, together. */
  readonly maxTotalBytes: number;
}

type Decode = (
  bytes: Buffer,
  options: ZlibOptions & BrotliOptions,
  done: (error: Error | null, result: Buffer) => void,
) => void;

const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: gunzip,
  "x-gzip": gunzip,
  deflate: inflate,
  br: brotliDecompress,
};

/** Reads bodies and knows how many bytes all of them hold at the moment. */
export class BodyReader {
  readonly #limits: BodyLimits;
  #heldBytes = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Calls `done` exactly once. After a refusal the rest of the request is read and thrown away. */
  read(request: IncomingMessage, done: (body: Buffer | BodyRefusal) => void): void {
    const { maxBytes, maxTotalBytes } = this.#limits;
    const encoding = request.headers["content-encoding"];
    const decode =
      encoding === undefined || encoding === "identity" ? undefined : DECODERS[encoding.trim().toLowerCase()];
    let chunks: Buffer[] | undefined = [];
    let bytes = 0;
    const finish = (result: Buffer | BodyRefusal): void => {
      if (chunks === undefined) return;
      chunks = undefined;
      this.#heldBytes -= bytes;
      done(result);
    };
    request.on("data", (chunk: Buffer) => {
      if (chunks === undefined) return;
      if (bytes + chunk.length > maxBytes) return finish("body_too_large");
      if (this.#heldBytes + chunk.length > maxTotalBytes) return finish("overloaded");
      bytes += chunk.length;
      this.#heldBytes += chunk.length;
      chunks.push(chunk);
    });
    request.on("end", () => {
      if (chunks === undefined) return;
      const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes);
      if (decode === undefined) finish(body);
      else
        decode(body, { maxOutputLength: maxBytes }, (error, decoded) =>
          finish(error === null ? decoded : refusalOf(error)),
        );
    });
    request.on("error", () => finish("aborted"));
    request.on("close", () => {
      if (!request.complete) finish("aborted");
    });
    if (encoding !== undefined && encoding !== "identity" && decode === undefined)
      return finish("unsupported_encoding");
    if (Number(request.headers["content-length"]) > maxBytes) finish("body_too_large");
  }
}

function refusalOf(error: Error): BodyRefusal {
  return (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE" ? "body_too_large" : "damaged_encoding";
}
