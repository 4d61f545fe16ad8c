import { expect, test } from "vitest";
import { openApiDocument } from "../../src/admin/openapi.ts";
import { answersOf } from "../../src/admin/routes/route.ts";
import { ADMIN_ROUTES, adminPath } from "../../src/admin/routes/table.ts";
import { send, startWorld } from "../lib/world.ts";

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly description: string;
  readonly schema: object;
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly Parameter[];
  readonly responses: object;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties?: object }>> };
}

const document = JSON.parse(JSON.stringify(openApiDocument())) as Document;

test("the OpenAPI document has every route with its parameters and statuses", () => {
  expect(Object.keys(ADMIN_ROUTES).length).toBeGreaterThan(20);
  for (const [operationId, route] of Object.entries(ADMIN_ROUTES)) {
    const described = document.paths[route.path]?.[route.method.toLowerCase()];
    expect(described).toMatchObject({ operationId, summary: route.summary });
    expect(Object.keys(described?.responses ?? {})).toEqual([...Object.keys(answersOf(route)), "default"]);
    const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    expect(described?.parameters.flatMap(({ name, in: place }) => (place === "path" ? [name] : []))).toEqual(inPath);
    for (const { name, description, schema } of described?.parameters ?? []) {
      expect(description, `${operationId} ${name}`).not.toBe("");
      expect(Object.keys(schema).length, `${operationId} ${name}`).toBeGreaterThan(0);
    }
  }
});

test("the OpenAPI document says of times, ids, rates and problems what the server takes and answers", () => {
  const { schemas } = document.components;
  expect(schemas["ReplayRequest"]?.properties).toMatchObject({
    eventsPerSecond: { type: "number" },
    since: { type: ["string", "number"] },
    type: { type: "string" },
    userId: { type: "string" },
  });
  expect(schemas["ReplayRequest"]).toMatchObject({ required: ["destination"], additionalProperties: false });
  expect(schemas["Replay"]?.properties).toMatchObject({ id: { format: "uuid" } });
  expect(schemas["Problem"]?.properties).toMatchObject({ type: { const: "about:blank" }, success: { const: false } });
  expect(schemas["RotateRequest"]?.properties).toMatchObject({ key: { writeOnly: true } });
  const list = document.paths["/v1/dead-letters/{environment}/{destination}"]?.["get"];
  expect(list?.parameters.find(({ name }) => name === "limit")?.schema).toEqual({
    type: "integer",
    minimum: 1,
    maximum: 1_000,
  });
  expect(list?.responses).toHaveProperty("400");
});

test("it is served without a token; the rest wants it; references lead somewhere; environments show no keys", async () => {
  const { relay } = await startWorld({ extra: { admin: { listen: "127.0.0.1:0", token: "long-enough" } } });
  const served = await send(relay.adminUrl, "GET", "/openapi.json", "", {});
  expect(served.json).toEqual(document);
  const references = [...served.text.matchAll(/"#\/components\/schemas\/(\w+)"/g)];
  expect(references.length).toBeGreaterThan(50);
  for (const [, name] of references) expect(document.components.schemas).toHaveProperty(name as string);
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

test("a client's paths and queries are made of the table: names are encoded, what is undefined is left out", () => {
  const params = { messageId: "a/b ?ü" };
  expect(adminPath("trace", { params, query: { since: "2026-01-01T00:00:00+01:00", until: undefined } })).toBe(
    "/v1/trace/a%2Fb%20%3F%C3%BC?since=2026-01-01T00%3A00%3A00%2B01%3A00",
  );
  expect(adminPath("listDeadLetters", { params: { environment: "e", destination: "d" }, query: { limit: 5 } })).toBe(
    "/v1/dead-letters/e/d?limit=5",
  );
});
