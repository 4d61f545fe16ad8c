/** The compose file with Kafka: what it names is there, and both relays take its configuration. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "@waybill/relay";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../../tools/pack/published.ts";

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const FOLDER = join(ROOT, "deploy/compose");
const text = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const compose = parse(text("deploy/compose/compose.kafka.yaml"), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const relays = services.filter(([name]) => name.startsWith("relay-"));
const dockerfile = text("deploy/docker/Dockerfile");

test("there are a Kafka, two relays and a vendor; what is reached from outside is on loopback", () => {
  expect(services.map(([name]) => name)).toEqual(["kafka", "relay-1", "relay-2", "vendor"]);
  const ports = services.flatMap(([, service]) => service.ports ?? []);
  expect(ports.every((port) => port.startsWith("127.0.0.1:"))).toBe(true);
  expect(new Set(ports.map((port) => port.split(":")[1])).size).toBe(ports.length);
});

test("files, volumes, secrets and stages that services name are there", () => {
  const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0] ?? ""));
  expect(mounts.filter((path) => path.startsWith(".") && !existsSync(join(FOLDER, path)))).toEqual([]);
  expect(mounts.filter((path) => !path.startsWith("."))).toEqual(Object.keys(compose.volumes));
  for (const [name, { build, secrets = [] }] of services) {
    expect(Object.keys(compose.secrets), name).toEqual(expect.arrayContaining([...secrets]));
    if (build !== undefined) expect(dockerfile).toContain(` AS ${build.target}\n`);
  }
});

test("each relay takes the configuration, has the secrets that it names, and is reached at its own name", () => {
  const file = text("deploy/compose/waybill.kafka.yaml");
  const named = [...file.matchAll(/\$\{file:\/run\/secrets\/([a-z-]+)\}/g)].map(([, name]) => name);
  // Each of its own: two tokens may not be one.
  const withSecrets = file.replaceAll(
    /\$\{file:\/run\/secrets\/([a-z-]+)\}/g,
    "$1-of-forty-characters-or-more-1234567",
  );
  for (const [name, { environment = {}, secrets = [] }] of relays) {
    const env = { RELAY_HOST: String(environment["RELAY_HOST"]) };
    const { kafka } = loadConfig({ file: "waybill.kafka.yaml", text: withSecrets, env });
    expect(kafka?.advertise).toBe(`http://${name}:8081`);
    expect(secrets.toSorted()).toEqual(named.toSorted());
    const listeners = compose.services["kafka"]?.environment?.["KAFKA_ADVERTISED_LISTENERS"];
    expect(kafka?.brokers.map((broker) => `CLIENT://${broker}`)).toEqual([listeners]);
  }
});

test("Kafka and its client are those that the tests use", () => {
  const [, version] = /const KAFKA_VERSION = "([\d.]+)"/.exec(text("benchmarks/lib/kafka/fetch-kafka.ts")) ?? [];
  expect(compose.services["kafka"]?.image).toBe(`apache/kafka:${version}`);
  const { devDependencies } = JSON.parse(text("package.json")) as { devDependencies: Record<string, string> };
  expect(dockerfile).toContain(` @platformatic/kafka@${devDependencies["@platformatic/kafka"]}\n`);
});

test("an image that is built without a target is the relay's", () => {
  expect([...dockerfile.matchAll(/^FROM .* AS (.*)$/gm)].at(-1)?.[1]).toBe("relay");
});
