import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run, temporary } from "./lib/command.ts";

const CONFIG = `environments:
  production:
    sources:
      web: { protocol: segment, writeKeys: ["\${WEB_KEY}"] }
    destinations:
      far: { vendor: segment, writeKey: "\${file:/run/secrets/no-such-secret}" }
`;

test("config check --offline needs no secrets, and names what it did not check", async () => {
  const file = join(temporary(), "waybill.yaml");
  writeFileSync(file, CONFIG);
  const online = await run(["config", "check", file]);
  expect(online.code).toBe(78);
  expect(online.err).toContain(`${file}:6:41: there is no file /run/secrets/no-such-secret`);
  const offline = await run(["config", "check", "--offline", file], { WAYBILL_PORT: "tcp://10.0.0.1:8080" });
  expect(offline).toMatchObject({ code: 0, err: "" });
  expect(offline.out.split("\n")).toEqual([
    `not checked: ${file}:4:45: the variable WEB_KEY is not set`,
    `not checked: ${file}:6:41: the file /run/secrets/no-such-secret does not exist`,
    `${file} is right, but for what was not checked: 1 environment, 1 source, 1 destination, listens on 0.0.0.0:8080, log in ./waybill-data`,
    "",
  ]);
});
