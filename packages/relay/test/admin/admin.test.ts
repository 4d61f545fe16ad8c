import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { OPERATIONS, openApiDocument } from "../../src/admin/openapi.ts";
import { send, startWorld } from "../lib/world.ts";

test("the OpenAPI document names the routes of the admin API, all of them and no other", () => {
  const routes = ["server", "inspection"].flatMap((file) => {
    const source = readFileSync(new URL(`../../src/admin/${file}.ts`, import.meta.url), "utf8").replaceAll(
      "${letters}",
      "/v1/dead-letters/:environment/:destination",
    );
    return [...source.matchAll(/\badd\("(\w+)", (?:["`]([^"`]+)["`]|letters)/g)].map(
      ([, method, path = "/v1/dead-letters/:environment/:destination"]) =>
        `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
    );
  });
  expect(routes.length).toBeGreaterThan(15);
  expect(Object.keys(OPERATIONS).toSorted((a, b) => a.localeCompare(b))).toEqual(
    routes.toSorted((a, b) => a.localeCompare(b)),
  );
});

test("it is served without a token; the rest asks for it; references lead somewhere; environments show no keys", async () => {
  const { relay } = await startWorld({ extra: { admin: { listen: "127.0.0.1:0", token: "long-enough" } } });
  const served = await send(relay.adminUrl, "GET", "/openapi.json", "", {});
  expect(served.json).toEqual(JSON.parse(JSON.stringify(openApiDocument())));
  const { components } = served.json as { components: { schemas: object } };
  for (const [, name] of served.text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    expect(components.schemas).toHaveProperty(name as string);
  expect((await send(relay.adminUrl, "GET", "/v1/environments", "", {})).status).toBe(401);
  const listed = await send(relay.adminUrl, "GET", "/v1/environments", "", { authorization: "Bearer long-enough" });
  expect(listed.json).toEqual([
    {
      environment: "test",
      sources: [{ source: "web", protocol: "segment", keys: 1 }],
      destinations: [{ destination: "emulator", vendor: "segment" }],
    },
  ]);
  expect(listed.text).not.toContain("write-key");
});
