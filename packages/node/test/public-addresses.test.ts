import { get } from "node:http";
import { createNodeTransport, isPublicAddress, publicAddresses, publicAgent, publicRoute } from "@waybill/node";
import { expect, test } from "vitest";

test.each([
  "0.0.0.0",
  "0.1.2.3",
  "10.0.0.1",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  "168.63.129.16",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.192",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.7",
  "203.0.113.9",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::7f00:1",
  "::8.8.8.8",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "0:0:0:0:0:FFFF:7F00:0001",
  "::ffff:0:127.0.0.1",
  "64:ff9b::7f00:1",
  "64:ff9b::10.0.0.1",
  "64:ff9b:1::8.8.8.8",
  "100::1",
  "2001::1",
  "2001:0:4136:e378:8000:63bf:3fff:fdd2",
  "2001:db8::1",
  "2002:7f00:1::",
  "2002:808:808::",
  "3fff::1",
  "5f00::1",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "4000::1",
  "nonsense",
  "",
])("%s is not public", (address) => {
  expect(isPublicAddress(address)).toBe(false);
});

test.each([
  "8.8.8.8",
  "1.1.1.1",
  "100.63.255.255",
  "172.32.0.1",
  "192.0.1.1",
  "198.20.0.1",
  "223.255.255.255",
  "2606:4700::1111",
  "2001:4860:4860::8888",
  "2a00:1450:4001::1%eth0",
  "::ffff:8.8.8.8",
  "64:ff9b::8.8.8.8",
  "64:ff9b::808:808",
])("%s is public", (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

test.each([
  "http://127.0.0.1/",
  "http://0177.0.0.1/",
  "http://127.1/",
  "http://2130706433/",
  "http://0x7f.1/",
  "http://127.0.0.1./",
  "http://①②⑦.0.0.1/",
  "http://[::1]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[64:ff9b::10.0.0.1]:8080/",
  "https://user:secret@10.0.0.1/",
])("%s is refused as it is", (url) => {
  expect(publicAddresses.isRefused(url)).toBe(true);
});

const never = new AbortController().signal;

test.each(["http://localhost:9/", "http://127.1:9/", "http://[::1]:9/"])("no connection is made to %s", async (url) => {
  const transport = createNodeTransport({ route: publicRoute });
  await expect(transport({ method: "POST", url, headers: {}, body: [] }, never)).rejects.toMatchObject({
    reason: "private_address",
  });
  transport.close();
  // The agent that a vendor's SDK gets.
  const agent = publicAgent(false);
  const error = await new Promise((resolve) => get(url, { agent }).on("error", resolve));
  expect(error).toMatchObject({ code: "EPRIVATE" });
  agent.destroy();
});

test("a name at public and private addresses is connected to at the public ones", async () => {
  const answer = (all: boolean): Promise<unknown> =>
    new Promise((resolve) => {
      publicAddresses.lookup("8.8.8.8", { all }, (error, found) => resolve(error ?? found));
    });
  expect(await answer(true)).toEqual([{ address: "8.8.8.8", family: 4 }]);
  expect(await answer(false)).toBe("8.8.8.8");
});
