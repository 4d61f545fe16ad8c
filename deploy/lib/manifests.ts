/** What has to fit together in the manifests of one relay's StatefulSet. */
import { parseAllDocuments } from "yaml";

export interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Labels };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

type Labels = Readonly<Record<string, string>>;

interface Port {
  readonly name: string;
  readonly port?: number;
  readonly targetPort?: string;
  readonly containerPort?: number;
}

export interface Service {
  readonly clusterIP?: string;
  readonly ports: readonly Port[];
  readonly selector: Labels;
}

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string; readonly scheme: "HTTP" | "HTTPS" };
}

interface Container {
  readonly image: string;
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly ports: readonly Port[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
}

export interface PodSpec {
  readonly enableServiceLinks: boolean;
  readonly automountServiceAccountToken: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly securityContext: object;
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
}

export interface StatefulSet {
  readonly replicas: number;
  readonly serviceName: string;
  readonly selector: { readonly matchLabels: Labels };
  readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
  readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[];
}

interface Selecting {
  readonly selector?: { readonly matchLabels: Labels };
  readonly podSelector?: { readonly matchLabels: Labels };
}

/** **Errors**: a text that is not YAML. */
export function manifestsOf(text: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const value = document.toJS() as Manifest | null;
    return value === null ? [] : [value];
  });
}

export function specOf<Spec>(manifests: readonly Manifest[], kind: string, name = "waybill"): Spec {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found.spec as Spec;
}

export function configOf(manifests: readonly Manifest[]): string {
  return manifests.find(({ kind }) => kind === "ConfigMap")?.data?.["waybill.yaml"] ?? "";
}

/** Names that lead nowhere, a line each. */
export function faultsOf(manifests: readonly Manifest[]): readonly string[] {
  const set = specOf<StatefulSet>(manifests, "StatefulSet");
  const services = manifests.filter(({ kind }) => kind === "Service");
  return [
    ...(services.some(({ metadata }) => metadata.name === set.serviceName) ? [] : [`no Service ${set.serviceName}`]),
    ...selectorFaults(manifests, set),
    ...services.flatMap((service) => portFaults(service, set)),
    ...mountFaults(manifests, set),
  ];
}

function selectorFaults(manifests: readonly Manifest[], set: StatefulSet): readonly string[] {
  const { labels } = set.template.metadata;
  const pods = ["StatefulSet", "PodDisruptionBudget", "NetworkPolicy"];
  return manifests.flatMap(({ kind, metadata, spec }) => {
    const { selector, podSelector } = (spec ?? {}) as Selecting;
    const of = `${kind} ${metadata.name}`;
    if (pods.includes(kind)) return selects(of, (selector ?? podSelector)?.matchLabels, [labels]);
    if (kind === "Service") return selects(of, selector as unknown as Labels, [labels]);
    const services = manifests.filter((one) => one.kind === "Service").map((one) => one.metadata.labels ?? {});
    return kind === "ServiceMonitor" ? selects(of, selector?.matchLabels, services) : [];
  });
}

function selects(of: string, selector: Labels = {}, candidates: readonly Labels[]): readonly string[] {
  const entries = Object.entries(selector);
  const isSelected = (labels: Labels): boolean => entries.every(([name, value]) => labels[name] === value);
  return entries.length > 0 && candidates.some(isSelected) ? [] : [`${of} selects nothing`];
}

function portFaults({ metadata, spec }: Manifest, set: StatefulSet): readonly string[] {
  const names = set.template.spec.containers[0].ports.map(({ name }) => name);
  return (spec as Service).ports
    .filter(({ targetPort }) => !names.includes(targetPort ?? ""))
    .map(({ targetPort }) => `Service ${metadata.name}: the container has no port ${targetPort}`);
}

function mountFaults(manifests: readonly Manifest[], set: StatefulSet): readonly string[] {
  const { volumes, containers } = set.template.spec;
  const mounted = containers[0].volumeMounts.map(({ name }) => name);
  const there = [...volumes, ...set.volumeClaimTemplates.map(({ metadata }) => metadata)].map(({ name }) => name);
  const configMaps = manifests.filter(({ kind }) => kind === "ConfigMap").map(({ metadata }) => metadata.name);
  return [
    ...mounted.filter((name) => !there.includes(name)).map((name) => `no volume ${name}`),
    ...there.filter((name) => !mounted.includes(name)).map((name) => `volume ${name} is not mounted`),
    ...volumes.flatMap(({ configMap }) =>
      configMap === undefined || configMaps.includes(configMap.name) ? [] : [`no ConfigMap ${configMap.name}`],
    ),
  ];
}
