/** The units of systemd for sockets, beside what the relay takes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig, takeGivenSockets } from "@waybill/relay";
import { expect, test } from "vitest";
import { ROOT } from "../../tools/pack/published.ts";

const PID = 42;
const CONFIG = `environments:
  production:
    sources: { web: { protocol: segment, writeKeys: [k] } }
    destinations: { archive: { vendor: file, path: /var/lib/waybill/events.ndjson } }
`;

function valueOf(unit: string, name: string): string {
  const text = readFileSync(join(ROOT, "deploy/systemd", unit), "utf8");
  return new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1] ?? "";
}

test.each([
  ["waybill.socket", "intake"],
  ["waybill-admin.socket", "admin"],
] as const)(
  "%s passes the relay's service a socket by the name %s, at the address of a configuration without one",
  (unit, name) => {
    const passed = { LISTEN_PID: String(PID), LISTEN_FDS: "1", LISTEN_FDNAMES: valueOf(unit, "FileDescriptorName") };
    expect(takeGivenSockets(passed, PID)).toEqual({ [name]: 3 });
    expect(valueOf(unit, "Service")).toBe("waybill.service");
    const { listen, admin } = loadConfig({ file: "waybill.yaml", text: CONFIG, env: {} });
    const { host, port } = name === "admin" ? admin : listen;
    expect(valueOf(unit, "ListenStream")).toBe(`${host}:${port}`);
  },
);
