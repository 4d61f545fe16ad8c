import { expect, test } from "vitest";
import { Pool, peerOf } from "../../src/intake/shares.ts";

const MAX = 1_200;
const BYTE = 1;

/** As much as a share can get, a byte at a time. */
function fill(pool: Pool, name: string): number {
  const share = pool.share(name);
  share.enter();
  while (share.take(BYTE) === undefined);
  return share.heldBytes;
}

test("one share gets half of a pool, however many there are the last one gets as much as is left: nobody takes all", () => {
  const pool = new Pool({ maxBytes: MAX, decoders: 1 });
  expect(fill(pool, "a")).toBe(600);
  expect(fill(pool, "b")).toBe(300);
  expect(fill(pool, "c")).toBe(150);
  expect(pool.heldBytes).toBeLessThan(MAX);
  expect(pool.share("d").take(70)).toBeUndefined();
});

test("says whether the pool is full of others, or the share itself is the cause", () => {
  const pool = new Pool({ maxBytes: MAX, decoders: 1 });
  fill(pool, "a");
  expect(pool.share("a").take(BYTE)).toBe("share_exceeded");
  fill(pool, "b");
  expect(pool.share("c").take(500)).toBe("overloaded");
  pool.share("a").giveBack(600);
  expect(pool.share("c").take(400)).toBeUndefined();
});

test("strangers are forgotten with their last request, not before, and sources never", () => {
  const keyless = new Pool({ maxBytes: MAX, decoders: 1, isKeyless: true });
  const share = keyless.share("1.2.3.4");
  share.enter();
  share.enter();
  share.leave();
  expect(keyless.share("1.2.3.4")).toBe(share);
  share.leave();
  expect(keyless.shares).toBe(0);
  const keyed = new Pool({ maxBytes: MAX, decoders: 1 });
  keyed.share("production/web").enter();
  keyed.share("production/web").leave();
  expect(keyed.shares).toBe(1);
});

test.each([
  ["203.0.113.7", "203.0.113.7"],
  ["::ffff:203.0.113.7", "203.0.113.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8:1:2::9", "2001:db8:1:2"],
  ["2001:db8::9", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
  [undefined, ""],
])("the address %s stands for %s", (address, peer) => {
  expect(peerOf(address)).toBe(peer);
});
