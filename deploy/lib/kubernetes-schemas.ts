/** Kubernetes' own JSON schemas: the Python package kubernetes-validate, fetched once. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { fetchingRefused } from "../../tools/fetches.ts";
import { runs } from "./helm.ts";

const VERSION = "1.37.0";
const FOLDER = join(homedir(), ".cache/waybill-tools", `kubernetes-validate-${VERSION}`);

/** Resolves to why they cannot be had; `undefined` when they are there. */
export function fetchSchemas(tell: (line: string) => void): string | undefined {
  if (existsSync(join(FOLDER, "kubernetes_validate"))) return undefined;
  const refused = fetchingRefused();
  if (refused !== undefined) return `kubernetes-validate is not installed, and ${refused}`;
  if (!runs("python3", "-m", "pip", "--version")) return "there is no pip to fetch kubernetes-validate with";
  tell(`pip fetches kubernetes-validate ${VERSION} and what it needs, 25 MB, into ${FOLDER}`);
  try {
    const what = `kubernetes-validate==${VERSION}`;
    execFileSync("python3", ["-m", "pip", "install", "--quiet", "--target", FOLDER, what], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return `kubernetes-validate cannot be fetched: ${(error as Error).message.split("\n").slice(0, 2).join(" ")}`;
  }
}

/** Checks a file of manifests, unknown fields too. **Errors**: with every fault. */
export async function validate(file: string, kubernetes: string): Promise<string> {
  const args = ["-m", "kubernetes_validate", "--strict", "--kubernetes-version", kubernetes, file];
  const { stdout, stderr } = await promisify(execFile)("python3", args, {
    env: { ...process.env, PYTHONPATH: FOLDER },
  });
  return stdout + stderr;
}
