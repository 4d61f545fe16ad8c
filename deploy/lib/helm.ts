/** Helm, as it is on this machine or built by Go once, and the chart's manifests. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fetchingRefused } from "../../tools/fetches.ts";
import { ROOT } from "../../tools/pack/published.ts";

const VERSION = "v3.19.5";
/** Of the Kubernetes that the manifests are made for: without a cluster Helm assumes an old one. */
const KUBERNETES = "1.30.0";
const TOOLS = join(homedir(), ".cache/waybill-tools");
const CHART = join(ROOT, "deploy/helm/waybill");
const EXAMPLE = join(ROOT, "deploy/helm/example");

/** Resolves to the command, or to why it cannot be had. */
export function findHelm(tell: (line: string) => void): { readonly path: string } | string {
  const built = join(TOOLS, VERSION, "helm");
  if (existsSync(built)) return { path: built };
  if (runs("helm", "version")) return { path: "helm" };
  const refused = fetchingRefused();
  if (refused !== undefined) return `helm is not installed, and ${refused}`;
  if (!runs("go", "version")) return "helm is not installed, and there is no go to build it with";
  tell(`go fetches helm ${VERSION} and its modules, 97 MB, and compiles it, some minutes, into ${TOOLS}`);
  try {
    mkdirSync(join(TOOLS, VERSION), { recursive: true });
    const env = { ...process.env, GOBIN: join(TOOLS, VERSION) };
    execFileSync("go", ["install", `helm.sh/helm/v3/cmd/helm@${VERSION}`], { env, stdio: "pipe" });
    return { path: built };
  } catch (error) {
    return `helm cannot be built: ${(error as Error).message.split("\n").slice(0, 2).join(" ")}`;
  }
}

/** Why the chart refuses is in the message. */
async function helm(path: string, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(path, [...args], { maxBuffer: 16 * 1024 * 1024 })).stdout;
}

export async function lint(path: string): Promise<string> {
  return helm(path, "lint", "--strict", "--kube-version", KUBERNETES, CHART, ...example());
}

/** The manifests of the example, with other values after its own. */
export async function render(path: string, ...values: readonly string[]): Promise<string> {
  const where = ["--kube-version", KUBERNETES, "--namespace", "waybill"];
  return helm(path, "template", "waybill", CHART, ...where, ...example(), ...values);
}

function example(): readonly string[] {
  return ["--values", join(EXAMPLE, "values.yaml"), "--set-file", `config=${join(EXAMPLE, "waybill.yaml")}`];
}

export function runs(program: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(program, [...args], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
