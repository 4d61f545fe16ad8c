/**
 * A compressed body never yields more than the limit, is answered once, and gives back what it
 * held.
 */
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { brotliCompressSync, crc32, deflateSync, gzipSync } from "node:zlib";
import { BodyReader, type BodyRefusal } from "@waybill/relay/headless";
import { readCorpus } from "../corpus.ts";
import { ENCODINGS } from "../dictionary.ts";
import type { Target } from "../target.ts";

const BODY_MAX_BYTES = 64 * 1024;

export const gzip: Target = {
  seeds: (corpus) => [
    ...corpus,
    ...readCorpus("framing").flatMap((body) => [gzipSync(body), deflateSync(body), brotliCompressSync(body)]),
  ],
  dictionary: ["\x1f\x8b\x08\x00", "\x78\x9c", "\x00\x00\x00\x00", "\xff\xff"],
  open() {
    const reader = new BodyReader({ maxBytes: BODY_MAX_BYTES, maxTotalBytes: 4 * BODY_MAX_BYTES });
    return {
      run: (input) =>
        new Promise((resolve, reject) => {
          const headers = { "content-encoding": encodingFor(input) };
          const request = Object.assign(new PassThrough(), { headers, complete: true });
          let answers = 0;
          reader.read(request as unknown as IncomingMessage, (body: Buffer | BodyRefusal) => {
            answers += 1;
            if (answers > 1) return reject(new Error("answered twice"));
            if (typeof body !== "string" && body.length > BODY_MAX_BYTES)
              return reject(new Error(`${body.length} bytes came through`));
            setImmediate(() => (reader.heldBytes === 0 ? resolve() : reject(new Error("bytes are still held"))));
          });
          request.end(input);
        }),
    };
  },
};

/** Half the time the one that its first bytes speak of. */
function encodingFor(input: Buffer): string {
  const choice = crc32(input) % (2 * ENCODINGS.length);
  if (choice < ENCODINGS.length) return ENCODINGS[choice] as string;
  return input[0] === 0x1f ? "gzip" : input[0] === 0x78 ? "deflate" : "br";
}
