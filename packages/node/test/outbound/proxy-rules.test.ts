/** Which proxy a request goes through. */
import { expect, test } from "vitest";
import { proxyFault, proxyFor } from "../../src/outbound/proxy-rules.ts";

const PROXY = "http://proxy.test:3128";
const isDirect = (except: string, url: string): boolean =>
  proxyFor({ http: PROXY, https: PROXY, except }, url) === undefined;

test.each([
  ["*", "https://api.vendor.test/", true],
  ["vendor.test", "https://vendor.test/", true],
  ["vendor.test", "https://api.vendor.test/", true],
  [".vendor.test", "https://api.vendor.test/", true],
  [".vendor.test", "https://vendor.test/", true],
  ["*.vendor.test", "https://api.vendor.test/", true],
  ["VENDOR.test.", "https://api.vendor.test/", true],
  ["vendor.test", "https://notvendor.test/", false],
  ["vendor.test", "https://vendor.test.evil/", false],
  ["a.test, vendor.test", "https://vendor.test/", true],
  ["a.test vendor.test", "https://vendor.test/", true],
  ["vendor.test:443", "https://vendor.test/", true],
  ["vendor.test:8443", "https://vendor.test/", false],
  ["vendor.test:8443", "https://vendor.test:8443/", true],
  ["vendor.test:80", "http://vendor.test/", true],
  ["10.1.2.3", "https://10.1.2.3/", true],
  ["1.2.3", "https://10.1.2.3/", false],
  ["2.3", "https://10.1.2.3/", false],
  ["[2001:db8::1]", "https://[2001:db8::1]/", true],
  ["2001:db8::1", "https://[2001:db8::1]/", true],
  ["[2001:db8::1]:443", "https://[2001:db8::1]/", true],
  ["", "https://vendor.test/", false],
  [",,", "https://vendor.test/", false],
  [".", "https://vendor.test/", false],
] as const)("NO_PROXY=%s and %s: directly is %s", (except, url, expected) => {
  expect(isDirect(except, url)).toBe(expected);
});

test("hosts of this machine are reached directly, unless the proxy is the destination's own", () => {
  for (const host of ["localhost", "api.localhost", "127.0.0.1", "127.8.0.1", "[::1]"]) {
    expect(isDirect("", `https://${host}/`)).toBe(true);
    expect(proxyFor({ https: PROXY, loopback: true }, `https://${host}/`)?.host).toBe("proxy.test");
  }
});

test("each scheme has its proxy", () => {
  expect(proxyFor({ https: PROXY }, "http://vendor.test/")).toBeUndefined();
  expect(proxyFor({ http: PROXY }, "https://vendor.test/")).toBeUndefined();
  expect(proxyFor({ http: PROXY }, "http://vendor.test/")).toMatchObject({ host: "proxy.test", port: 3128 });
});

test("credentials are decoded, and are not a part of what is shown", () => {
  const proxy = proxyFor({ https: "http://us%40er:p%3Ass@proxy.test:3128" }, "https://vendor.test/");
  expect(proxy?.authorization).toBe(`Basic ${btoa("us@er:p:ss")}`);
  expect(proxy?.shown).toBe(PROXY);
});

test.each([
  ["proxy.test:3128", "proxy.test", 3128, false],
  ["http://proxy.test", "proxy.test", 80, false],
  ["https://proxy.test", "proxy.test", 443, true],
  ["http://[2001:db8::2]:1", "2001:db8::2", 1, false],
] as const)("%s is at %s, port %i", (https, host, port, secure) => {
  expect(proxyFault(https)).toBeUndefined();
  expect(proxyFor({ https }, "https://vendor.test/")).toMatchObject({ host, port, secure });
});

test.each(["socks5://user:secret@proxy.test", "http://", "http://proxy.test/secret", "http://p?secret", "http://%zz"])(
  "%s is not a proxy, and is not quoted",
  (text) => {
    expect(proxyFault(text)).toMatch(/^(is|has)/);
    expect(proxyFault(text)).not.toContain("secret");
  },
);
