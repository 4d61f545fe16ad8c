import { SeededRandom } from "@waybill/testing";
import { expect, test } from "vitest";
import { Sealing } from "../../src/cluster/sealing.ts";

const KEY = "0123456789abcdef0123456789abcdef";

test("what is sealed is opened by the same key under the same name, and by nothing else", () => {
  const sealing = new Sealing(KEY, new SeededRandom(1));
  const other = new Sealing(`${KEY}!`, new SeededRandom(1));
  const sealed = sealing.seal("rotation/a", "sécret");
  expect(sealing.seal("rotation/a", "sécret")).not.toBe(sealed);
  expect(new Sealing(KEY, new SeededRandom(2)).open("rotation/a", sealed)).toBe("sécret");
  expect(sealing.open("rotation/b", sealed)).toBeUndefined();
  expect(other.open("rotation/a", sealed)).toBeUndefined();
  const bytes = Buffer.from(sealed, "base64");
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
    expect(sealing.open("rotation/a", damaged.toString("base64")), `byte ${at}`).toBeUndefined();
    expect(sealing.open("rotation/a", bytes.subarray(0, at).toString("base64")), `cut ${at}`).toBeUndefined();
  }
});
