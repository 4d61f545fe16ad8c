/** The plain manifests: what they name is there, and the relay takes what they give it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "@waybill/core";
import { checkConfigOffline, loadConfig, type RelayConfig } from "@waybill/relay";
import { expect, onTestFinished, test } from "vitest";
import { startWorld } from "../../packages/relay/test/lib/world.ts";
import { ROOT } from "../../tools/pack/published.ts";
import { runs } from "../lib/helm.ts";
import { variablesOf } from "../lib/kubernetes-variables.ts";
import { configOf, faultsOf, manifestsOf, type Service, type StatefulSet, specOf } from "../lib/manifests.ts";

const manifests = manifestsOf(readFileSync(join(ROOT, "deploy/kubernetes/waybill.yaml"), "utf8"));
const set = specOf<StatefulSet>(manifests, "StatefulSet");
const pod = set.template.spec;
const [container] = pod.containers;

/** As the container gets it, with its secrets in a folder of this test. */
function configInPod(env: Readonly<Record<string, string>> = {}): RelayConfig {
  const folder = mkdtempSync(join(tmpdir(), "waybill-secrets-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [index, name] of keysOfSecret().entries()) writeFileSync(join(folder, name), `secret-number-${index}\n`);
  const given = Object.fromEntries(container.env.map(({ name, value }) => [name, value ?? ""]));
  const text = configOf(manifests).replaceAll("/run/secrets/waybill", folder);
  return loadConfig({ file: "waybill.yaml", text, env: { ...given, ...env } });
}

function keysOfSecret(): readonly string[] {
  return [...configOf(manifests).matchAll(/\$\{file:\/run\/secrets\/waybill\/([\w-]+)\}/g)].map(
    ([, name]) => `${name}`,
  );
}

test("there are the manifests of a relay, and what each names is there", () => {
  expect(manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted()).toEqual([
    "ConfigMap waybill",
    "PodDisruptionBudget waybill",
    "Service waybill",
    "Service waybill-headless",
    "StatefulSet waybill",
  ]);
  expect(faultsOf(manifests)).toEqual([]);
  expect(container.image).toMatch(new RegExp(`:${VERSION}$`));
});

test("a name that leads nowhere is found", () => {
  const broken = (from: string, to: string): readonly string[] =>
    faultsOf(manifestsOf(readFileSync(join(ROOT, "deploy/kubernetes/waybill.yaml"), "utf8").replaceAll(from, to)));
  expect(broken("serviceName: waybill-headless", "serviceName: other")).toEqual(["no Service other"]);
  expect(broken("targetPort: admin", "targetPort: metrics")).toEqual([
    "Service waybill-headless: the container has no port metrics",
  ]);
  expect(broken("- name: secrets\n              mountPath", "- name: secret\n              mountPath")).toEqual([
    "no volume secret",
    "volume secrets is not mounted",
  ]);
});

test("the relay takes the configuration, with and without its secrets", () => {
  const { notChecked } = checkConfigOffline({ file: "waybill.yaml", text: configOf(manifests), env: {} });
  expect(notChecked.length).toBe(keysOfSecret().length);
  const config = configInPod();
  expect(config).toMatchObject({ dataDirectory: "/var/lib/waybill/data", admin: { token: "secret-number-0" } });
  expect(config.warnings ?? []).toEqual([]);
});

test("what Kubernetes injects for the Services neither stops the relay nor makes it warn", () => {
  const injected = manifests
    .filter(({ kind }) => kind === "Service")
    .map(({ metadata, spec }) => {
      const ports = (spec as Service).ports.map(({ name, port = 0 }) => [name, port] as const);
      return variablesOf(metadata.name, Object.fromEntries(ports));
    });
  const env = Object.assign({}, ...injected) as Record<string, string>;
  expect(Object.keys(env)).toContain("WAYBILL_PORT");
  expect(Object.keys(env)).toContain("WAYBILL_PORT_8080_TCP_ADDR");
  expect(Object.keys(env)).toContain("WAYBILL_HEADLESS_SERVICE_PORT_ADMIN");
  expect(configInPod(env).warnings ?? []).toEqual([]);
  // And by default it injects none.
  expect(pod.enableServiceLinks).toBe(false);
});

test("the grace period is longer than the relay's own deadline", () => {
  expect(pod.terminationGracePeriodSeconds * 1_000).toBeGreaterThanOrEqual(configInPod().shutdownDeadlineMs + 5_000);
});

test("a running relay answers the probes as they expect", async () => {
  const { relay } = await startWorld();
  for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
    expect(probe.httpGet).toMatchObject({ port: "intake", scheme: "HTTP" });
    expect((await fetch(relay.intakeUrl + probe.httpGet.path)).status, probe.httpGet.path).toBe(200);
  }
});

test("nothing in the pod is root, may become it, or writes elsewhere than to its volume", () => {
  expect(pod.securityContext).toMatchObject({
    runAsNonRoot: true,
    runAsUser: 10_001,
    seccompProfile: { type: "RuntimeDefault" },
  });
  expect(container.securityContext).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  expect(pod.automountServiceAccountToken).toBe(false);
  const writable = container.volumeMounts.filter(({ readOnly }) => readOnly !== true);
  expect(writable).toEqual([{ name: "data", mountPath: "/var/lib/waybill" }]);
});

test.skipIf(!runs("kubectl", "version", "--client"))("kubectl builds the kustomization", () => {
  const built = execFileSync("kubectl", ["kustomize", join(ROOT, "deploy/kubernetes")], { encoding: "utf8" });
  expect(faultsOf(manifestsOf(built))).toEqual([]);
});
