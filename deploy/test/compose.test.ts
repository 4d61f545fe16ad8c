/** The compose file: what it names is there, and the relay takes the configuration it mounts. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkConfigOffline } from "@waybill/relay";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../../tools/pack/published.ts";

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string; readonly target: string };
  readonly ports: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly stop_grace_period?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const FOLDER = join(ROOT, "deploy/compose");
const text = (name: string): string => readFileSync(join(FOLDER, name), "utf8");
const compose = parse(text("compose.yaml")) as Compose;
const services = Object.entries(compose.services);

test("there are a relay, a vendor, Prometheus and Grafana, on loopback alone", () => {
  expect(services.map(([name]) => name)).toEqual(["relay", "vendor", "prometheus", "grafana"]);
  expect(services.flatMap(([, { ports }]) => ports).every((port) => port.startsWith("127.0.0.1:"))).toBe(true);
});

test("files, volumes, secrets and stages that services name are there", () => {
  const dockerfile = readFileSync(join(ROOT, "deploy/docker/Dockerfile"), "utf8");
  const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0] ?? ""));
  const files = mounts.filter((path) => path.startsWith("."));
  expect(files.length).toBeGreaterThan(5);
  expect(files.filter((path) => !existsSync(join(FOLDER, path)))).toEqual([]);
  expect(mounts.filter((path) => !path.startsWith("."))).toEqual(Object.keys(compose.volumes));
  for (const [name, { build, secrets = [] }] of services) {
    expect(Object.keys(compose.secrets), name).toEqual(expect.arrayContaining([...secrets]));
    if (build === undefined) continue;
    expect(existsSync(join(FOLDER, build.context, build.dockerfile))).toBe(true);
    expect(dockerfile).toContain(` AS ${build.target}\n`);
  }
});

test("the relay takes the configuration, and gets the secrets that it names", () => {
  const { config, notChecked } = checkConfigOffline({ file: "waybill.yaml", text: text("waybill.yaml"), env: {} });
  const { secrets, stop_grace_period } = compose.services["relay"] as Service;
  expect(notChecked.length).toBe(secrets?.length);
  for (const name of secrets ?? []) expect(text("waybill.yaml")).toContain(`\${file:/run/secrets/${name}}`);
  expect(Number.parseInt(stop_grace_period ?? "", 10) * 1_000).toBeGreaterThan(
    (config?.shutdownDeadlineMs ?? 0) + 5_000,
  );
});

test("Prometheus reads the relay's admin port as the alerts expect it", () => {
  expect(parse(text("prometheus.yml"))).toMatchObject({
    rule_files: ["waybill.rules.yml"],
    scrape_configs: [{ job_name: "waybill", static_configs: [{ targets: ["relay:8081"] }] }],
  });
});
