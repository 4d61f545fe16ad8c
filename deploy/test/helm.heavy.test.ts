/**
 * The chart, with Helm itself and Kubernetes' own schemas. Where they cannot be had the tests are
 * skipped, and the reason is printed. The plain manifests are written by
 * `npx vitest run deploy/test/helm --update=all`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ROOT } from "../../tools/pack/published.ts";
import { findHelm, lint, render } from "../lib/helm.ts";
import { fetchSchemas, validate } from "../lib/kubernetes-schemas.ts";
import { faultsOf, type Manifest, manifestsOf, type StatefulSet, specOf } from "../lib/manifests.ts";

const BUILD_MAX_MS = 1_200_000;
const TEST_MAX_MS = 120_000;
/** The oldest that the chart names, and a newer one. */
const KUBERNETES = ["1.25", "1.34"];
const HEADER = `# Made by Helm of deploy/helm/waybill and deploy/helm/example; a test holds it equal. For use
# without Helm: docs/operating/kubernetes.md.
`;

interface Policy {
  readonly ingress: readonly { readonly ports: readonly { readonly port: string }[]; readonly from?: unknown }[];
}

const folder = mkdtempSync(join(tmpdir(), "waybill-chart-"));
let helm: string;
let skipped: string | undefined;

beforeAll(() => {
  const tell = (line: string): void => void process.stdout.write(`${line}\n`);
  const found = findHelm(tell);
  skipped = typeof found === "string" ? found : fetchSchemas(tell);
  if (typeof found !== "string") helm = found.path;
  if (skipped !== undefined) process.stdout.write(`the chart is not tested: ${skipped}\n`);
}, BUILD_MAX_MS);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(({ skip }) => {
  if (skipped !== undefined) skip(skipped);
});

const TEXTS = [
  "replicas=3,serviceMonitor.enabled=true,networkPolicy.enabled=true,tlsSecretName=waybill-tls",
  `image.digest=sha256:${"0".repeat(64)},service.type=LoadBalancer,persistence.storageClassName=fast`,
  "service.annotations.example=yes,podAnnotations.example=yes,podLabels.team=data",
  "serviceAccountName=waybill,priorityClassName=high,nodeSelector.disk=fast",
];
const OBJECTS = [
  'networkPolicy.adminFrom=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]',
  'networkPolicy.intakeFrom=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]',
  'image.pullSecrets=[{"name":"registry"}]',
  'extraEnv=[{"name":"SEGMENT_KEY","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]',
  'tolerations=[{"key":"disk","operator":"Exists","effect":"NoSchedule"}]',
  'affinity={"podAntiAffinity":{}}',
  'topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]',
];
const EVERYTHING = [
  ...TEXTS.flatMap((text) => ["--set", text]),
  ...OBJECTS.flatMap((object) => ["--set-json", object]),
];

function withConfig(text: string): readonly string[] {
  const file = join(folder, "waybill.yaml");
  writeFileSync(file, text);
  return ["--set-file", `config=${file}`];
}

async function isValid(text: string): Promise<void> {
  // Those of other projects have no schema there.
  const documents = text.split(/^---$/m).filter((one) => /^kind: /m.test(one) && !one.includes("monitoring.coreos"));
  const file = join(folder, "manifests.yaml");
  writeFileSync(file, documents.join("---"));
  for (const version of KUBERNETES)
    expect((await validate(file, version)).match(/ passed /g)).toHaveLength(documents.length);
}

function podOf(manifests: readonly Manifest[]): StatefulSet["template"]["spec"] {
  return specOf<StatefulSet>(manifests, "StatefulSet").template.spec;
}

test("Helm's lint finds nothing", async () => {
  expect(await lint(helm)).toContain("1 chart(s) linted, 0 chart(s) failed");
});

test(
  "the plain manifests are what the chart makes, and Kubernetes takes them",
  async () => {
    const text = HEADER + (await render(helm)).replaceAll(/^# Source: .*\n/gm, "");
    await expect(text).toMatchFileSnapshot("../kubernetes/waybill.yaml");
    await isValid(text);
  },
  TEST_MAX_MS,
);

test(
  "with every value set, names lead somewhere and Kubernetes takes it",
  async () => {
    const text = await render(helm, ...EVERYTHING);
    const manifests = manifestsOf(text);
    const kinds = manifests.map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining(["NetworkPolicy", "ServiceMonitor", "StatefulSet"]));
    expect(faultsOf(manifests)).toEqual([]);
    await isValid(text);
  },
  TEST_MAX_MS,
);

test(
  "the example with Kafka has what its configuration names, and its relays reach each other's admin API",
  async () => {
    const example = join(ROOT, "deploy/helm/example-kafka");
    const config = join(example, "waybill.yaml");
    const values = ["--values", join(example, "values.yaml"), "--set-file", `config=${config}`];
    const text = await render(helm, ...values, "--set", "networkPolicy.enabled=true");
    const manifests = manifestsOf(text);
    expect(faultsOf(manifests)).toEqual([]);
    const { env } = podOf(manifests).containers[0];
    const names = [...readFileSync(config, "utf8").matchAll(/\$\{([A-Z_]+)\}/g)].map(([, name]) => name);
    expect(env.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    expect(names).toEqual(["POD_IP"]);
    const { ingress } = specOf<Policy>(manifests, "NetworkPolicy");
    const matchLabels = { "app.kubernetes.io/name": "waybill", "app.kubernetes.io/instance": "waybill" };
    const admin = ingress.filter(({ ports }) => ports.some(({ port }) => port === "admin"));
    expect(admin.map(({ from }) => from)).toEqual([[{ podSelector: { matchLabels } }]]);
    await isValid(text);
  },
  TEST_MAX_MS,
);

test("several relays wait before they stop, and the grace period has room for it", async () => {
  const pod = podOf(manifestsOf(await render(helm, "--set", "replicas=2,preStopSeconds=7")));
  expect(pod.containers[0].lifecycle?.preStop.exec.command.at(-1)).toBe("setTimeout(() => {}, 7000)");
  expect(pod.terminationGracePeriodSeconds).toBe(37);
  expect(podOf(manifestsOf(await render(helm))).containers[0].lifecycle).toBeUndefined();
});

test.each([
  ["1500", 12],
  ["900ms", 11],
  ["45s", 55],
  ["2m", 130],
])("shutdown.deadline %s of the configuration gives %i s of grace", async (deadline, seconds) => {
  const text = `admin: { token: x }\nshutdown: { deadline: ${deadline} }\n`;
  expect(podOf(manifestsOf(await render(helm, ...withConfig(text)))).terminationGracePeriodSeconds).toBe(seconds);
});

test("probes and Prometheus speak TLS where the configuration has it", async () => {
  const config = withConfig(
    "admin: { token: x, tls: { cert: c, key: k } }\ntls: { cert: /etc/waybill/tls/tls.crt, key: /etc/waybill/tls/tls.key }\n",
  );
  const manifests = manifestsOf(
    await render(helm, "--set", "tlsSecretName=waybill-tls,serviceMonitor.enabled=true", ...config),
  );
  const [{ livenessProbe, readinessProbe, startupProbe }] = podOf(manifests).containers;
  for (const { httpGet } of [livenessProbe, readinessProbe, startupProbe]) expect(httpGet.scheme).toBe("HTTPS");
  expect(specOf(manifests, "ServiceMonitor")).toMatchObject({ endpoints: [{ scheme: "https", port: "admin" }] });
});

test.each([
  ["config is empty", ["--set-file", "config=/dev/null"]],
  ["image.repository is empty", ["--set", "image.repository="]],
  ["additional properties 'replica' not allowed", ["--set", "replica=2"]],
])("a value that cannot work is refused: %s", async (message, values) => {
  await expect(render(helm, ...values)).rejects.toThrow(message);
});

test.each([
  ["config needs admin.token", "environments: {}\n"],
  ["config is not YAML", "a: [\n"],
  ["shutdown.deadline is 1.5h", "admin: { token: x }\nshutdown: { deadline: 1.5h }\n"],
])("a configuration that cannot work is refused: %s", async (message, text) => {
  await expect(render(helm, ...withConfig(text))).rejects.toThrow(message);
});
