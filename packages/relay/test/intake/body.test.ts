/**
 * Bodies are read whole, decoded, within limits, and whatever happens each is answered once and
 * gives back what it held.
 */
import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { PassThrough } from "node:stream";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";
import { BodyReader, type BodyRefusal, type Charge } from "../../src/intake/body.ts";
import { codingOf, Decoders } from "../../src/intake/decoders.ts";
import { Pool } from "../../src/intake/shares.ts";

const KIB = 1_024;
const MIB = 1_024 * KIB;
const PROTOTYPE_NAMES = [
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "isPrototypeOf",
  "propertyIsEnumerable",
  "toLocaleString",
  "toString",
  "valueOf",
  "__defineGetter__",
];

interface Sent {
  readonly request: PassThrough;
  readonly result: Promise<Buffer | BodyRefusal>;
  /** Resolves with the result; the charge is kept until it is released. */
  readonly charge: Promise<Charge>;
}

/** A request whose body comes as the test writes it. */
function send(
  reader: BodyReader,
  headers: Readonly<Record<string, string>>,
  options: Parameters<BodyReader["read"]>[2] & { readonly keep?: boolean } = {},
): Sent {
  const request = Object.assign(new PassThrough(), { headers, complete: false });
  request.on("end", () => (request.complete = true));
  let answers = 0;
  let charged: (charge: Charge) => void;
  const charge = new Promise<Charge>((resolve) => (charged = resolve));
  const result = new Promise<Buffer | BodyRefusal>((resolve, reject) => {
    reader.read(
      request as unknown as IncomingMessage,
      (body, given) => {
        answers += 1;
        if (answers > 1) reject(new Error("answered twice"));
        charged(given);
        resolve(body);
        return options.keep === true;
      },
      options,
    );
  });
  return { request, result, charge };
}

function whole(reader: BodyReader, bytes: Buffer, encoding?: string): Promise<Buffer | BodyRefusal> {
  const { request, result } = send(reader, encoding === undefined ? {} : { "content-encoding": encoding });
  request.end(bytes);
  return result;
}

function newReader(limits: Partial<ConstructorParameters<typeof BodyReader>[0]> = {}): BodyReader {
  return new BodyReader({ maxBytes: MIB, maxTotalBytes: 12 * MIB, ...limits });
}

test.each(PROTOTYPE_NAMES)("the encoding %s is not known, in any case, and holds nothing", async (name) => {
  const reader = newReader();
  for (const encoding of [name, name.toUpperCase(), ` ${name} `])
    expect(await whole(reader, Buffer.alloc(100_000), encoding)).toBe("unsupported_encoding");
  expect([reader.heldBytes, reader.keyless.shares]).toEqual([0, 0]);
});

test("bodies are decoded at once or by a decoder, small and large ones, as they are spelled; lists of encodings are not taken", async () => {
  const reader = newReader();
  for (const size of [0, 10, 50_000, 900_000]) {
    const body = Buffer.from(Array.from({ length: size }, (_, index) => index * 7 + ((index * index) >> 5)));
    for (const [encoding, packed] of [
      ["gzip", gzipSync(body)],
      ["X-GZIP", gzipSync(body)],
      ["deflate", deflateSync(body)],
      [" br ", brotliCompressSync(body)],
      ["identity", body],
      ["", body],
    ] as const)
      expect(Buffer.compare((await whole(reader, packed, encoding)) as Buffer, body), `${encoding} ${size}`).toBe(0);
  }
  for (const list of ["gzip, gzip", "gzip,identity", "br;q=1", "zstd", ","])
    expect(await whole(reader, gzipSync("{}"), list)).toBe("unsupported_encoding");
  for (const damaged of [gzipSync("{}").subarray(0, 12), Buffer.from("no gzip"), Buffer.alloc(5_000, 7)])
    expect(await whole(reader, damaged, "gzip")).toBe("damaged_encoding");
  expect([reader.heldBytes, reader.keyless.shares]).toEqual([0, 0]);
});

test("what is larger than the limit is refused by its length, while it comes, and while it is decoded", async () => {
  const reader = newReader();
  expect(await send(reader, { "content-length": String(2 * MIB) }).result).toBe("body_too_large");
  expect(await whole(reader, Buffer.alloc(2 * MIB))).toBe("body_too_large");
  for (const bomb of [gzipSync(Buffer.alloc(64 * MIB)), gzipSync(Buffer.alloc(1.5 * MIB))])
    expect(await whole(reader, bomb, "gzip")).toBe("body_too_large");
  expect(await whole(reader, brotliCompressSync(Buffer.alloc(4 * MIB)), "br")).toBe("body_too_large");
  const small = newReader({ maxBytes: 10 * KIB });
  expect(await whole(small, gzipSync(Buffer.alloc(11 * KIB)), "gzip")).toBe("body_too_large");
  expect(reader.heldBytes + small.heldBytes).toBe(0);
});

test("bombs that come together are decoded a few at a time and charged for what comes out", async () => {
  const reader = newReader();
  const bomb = brotliCompressSync(Buffer.alloc(MIB, 0x20));
  expect(bomb.length).toBeLessThan(100);
  const sent = Array.from({ length: 400 }, () => send(reader, { "content-encoding": "br" }));
  for (const { request } of sent) request.end(bomb);
  let most = 0;
  const results = await Promise.all(
    sent.map(async ({ result }) => {
      const refusal = await result;
      most = Math.max(most, reader.heldBytes);
      return refusal;
    }),
  );
  const decoded = results.filter((result) => Buffer.isBuffer(result)).length;
  expect(decoded).toBeGreaterThan(0);
  // What waits is charged too: most of them are not let in at all.
  expect(results.filter((result) => result === "share_exceeded").length).toBe(results.length - decoded);
  expect(most).toBeLessThanOrEqual(reader.keyless.maxBytes);
  expect([reader.heldBytes, reader.decoders.waiting, reader.keyless.shares]).toEqual([0, 0, 0]);
});

test.each([1, 2])("%i bodies of a pool are decoded at once, the others wait", async (decoders) => {
  const pool = new Pool({ maxBytes: 64 * MIB, decoders });
  const all = new Decoders();
  const body = brotliCompressSync(Buffer.alloc(KIB));
  const coding = codingOf("br") as Exclude<ReturnType<typeof codingOf>, string | undefined>;
  const results = Array.from(
    { length: 5 },
    (_, index) =>
      new Promise((done) => {
        const share = pool.share(String(index));
        all.decode({ share, cost: 1, coding, body, maxBytes: MIB, charge: () => undefined, done });
      }),
  );
  expect(all.waiting).toBe(5 - decoders);
  expect((await Promise.all(results)).map((result) => (result as Buffer).length)).toEqual(new Array(5).fill(KIB));
  expect(all.waiting).toBe(0);
});

test("requests with a key do not notice strangers who hold all they may, and no source another one", async () => {
  const reader = newReader({ maxTotalBytes: 24 * MIB });
  const held = Array.from({ length: 40 }, (_, index) => {
    const sent = send(reader, {}, { share: reader.keyless.share(`10.0.0.${index % 20}`) });
    sent.request.write(Buffer.alloc(MIB - 1));
    return sent;
  });
  const hog = Array.from({ length: 40 }, () => {
    const sent = send(reader, {}, { share: reader.keyed.share("hog") });
    sent.request.write(Buffer.alloc(MIB - 1));
    return sent;
  });
  await new Promise((resolve) => setImmediate(resolve));
  const { request, result } = send(reader, {}, { share: reader.keyed.share("web") });
  request.end(Buffer.alloc(MIB, 1));
  expect((await result).length).toBe(MIB);
  for (const sent of [...held, ...hog]) sent.request.destroy();
  const refusals = new Set(await Promise.all([...held, ...hog].map((sent) => sent.result)));
  expect([...refusals].toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual([
    "aborted",
    "overloaded",
    "share_exceeded",
  ]);
  expect([reader.heldBytes, reader.keyless.shares]).toEqual([0, 0]);
});

test("a body is charged until it was worked on, and to those whose key it turns out to have", async () => {
  const reader = newReader();
  const sent = send(reader, { "content-encoding": "gzip" }, { share: reader.keyless.share("10.0.0.1"), keep: true });
  sent.request.end(gzipSync(Buffer.alloc(500_000)));
  const charge = await sent.charge;
  expect([reader.keyless.heldBytes, reader.keyed.heldBytes]).toEqual([500_000, 0]);
  charge.moveTo(reader.keyed.share("web"));
  expect([reader.keyless.heldBytes, reader.keyed.heldBytes, reader.keyless.shares]).toEqual([0, 500_000, 0]);
  charge.release();
  charge.release();
  expect(reader.heldBytes).toBe(0);
});

test("chunks of a byte do not each keep the memory that they were read with", async () => {
  const reader = newReader();
  const { request, result } = send(reader, {});
  const slab = Buffer.alloc(64 * KIB, 0x61);
  for (let index = 0; index < 5_000; index++)
    request.write(slab.subarray(index % slab.length, (index % slab.length) + 1));
  await new Promise((resolve) => setImmediate(resolve));
  slab.fill(0x62);
  request.end();
  expect((await result).toString()).toBe("a".repeat(5_000));
});

test("a body that does not come on is given up after ten seconds; one that does may take its time", async () => {
  const clock = new VirtualClock();
  const reader = newReader({ clock });
  const stalled = send(reader, { "content-length": "900000" });
  stalled.request.write(Buffer.alloc(600_000));
  const dripping = send(reader, {});
  const steady = send(reader, {});
  let given: string | undefined;
  void stalled.result.then((result) => (given = String(result)));
  for (let second = 0; second < 60; second++) {
    dripping.request.write("x");
    steady.request.write(Buffer.alloc(2 * KIB));
    await clock.advance(1_000);
    if (second === 5) expect(given).toBeUndefined();
    if (second === 12) expect(given).toBe("too_slow");
  }
  expect(await dripping.result).toBe("too_slow");
  steady.request.end();
  expect((await steady.result).length).toBe(120 * KIB);
  expect(reader.heldBytes).toBe(0);
});

test("a body whose end never comes is aborted with its connection, at whatever point, and holds nothing", async () => {
  const reader = newReader();
  for (const bytes of [0, 1, 100_000]) {
    const { request, result } = send(reader, { "content-encoding": "gzip" });
    if (bytes > 0) request.write(Buffer.alloc(bytes));
    await new Promise((resolve) => setImmediate(resolve));
    request.destroy(bytes === 1 ? new Error("reset") : undefined);
    expect(await result).toBe("aborted");
  }
  expect([reader.heldBytes, reader.keyless.shares]).toEqual([0, 0]);
});

test("what is thrown by those who get the body holds nothing either", async () => {
  const reader = newReader();
  const request = Object.assign(new EventEmitter(), { headers: {}, complete: true });
  reader.read(request as unknown as IncomingMessage, () => {
    throw new Error("a defect");
  });
  request.emit("data", Buffer.from("{}"));
  expect(() => request.emit("end")).toThrow("a defect");
  expect([reader.heldBytes, reader.keyless.shares]).toEqual([0, 0]);
});
