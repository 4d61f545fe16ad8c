/** The image, built as its page says but for the base, and containers of it. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "@waybill/core";
import { freePort } from "@waybill/testing";
import { ROOT } from "../../tools/pack/published.ts";
import { pack } from "../../tools/pack.ts";
import { until } from "../../tools/until.ts";
import { importBase } from "./base-image.ts";
import type { ContainerTool, Podman } from "./podman.ts";

const BASE = "localhost/waybill-base:test";
export const IMAGE = "localhost/waybill:test";
/** What a build needs of the repository, beside the tarballs. */
const CONTEXT = [".dockerignore", "deploy/docker", "deploy/compose"];
const START_MAX_MS = 30_000;

/** Builds {@link IMAGE}. The packages must have been built. */
export async function buildImage(podman: Podman): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), "waybill-context-"));
  try {
    mkdirSync(join(context, "build"));
    for (const folder of ["relay", "testing"]) await pack(folder, join(context, "build"));
    for (const path of CONTEXT) cpSync(join(ROOT, path), join(context, path), { recursive: true });
    writeFileSync(join(context, "secret.yaml"), "not for the image\n");
    await importBase(podman, BASE);
    // Health checks are of Docker's format; layers of their own would be whole copies here.
    const how = ["--format", "docker", "--layers=false", "--isolation", "chroot", "--quiet"];
    const what = ["--build-arg", `BASE=${BASE}`, "--build-arg", `VERSION=${VERSION}`, "--tag", IMAGE];
    await podman("build", ...how, ...what, "--file", join(context, "deploy/docker/Dockerfile"), context);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}

export interface ContainerOptions {
  /** File of the relay's configuration. */
  readonly config: string;
  /** Name of the volume with its data. */
  readonly volume: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Container {
  readonly intakeUrl: string;
  /** Runs a command in it; resolves to what it prints. */
  exec(...command: readonly string[]): Promise<string>;
  /** Runs the image's health check. **Errors**: when it fails. */
  checkHealth(): Promise<void>;
  logs(): Promise<string>;
  /** Sends SIGTERM; resolves to its exit code, 137 when it had to be killed. */
  stop(deadlineSeconds: number): Promise<number>;
}

/** A relay as Kubernetes runs one: nothing of the root file system can be written. */
export async function startContainer(tool: ContainerTool, options: ContainerOptions): Promise<Container> {
  const { podman, runArgs } = tool;
  const intake = `127.0.0.1:${await freePort()}`;
  const env = {
    WAYBILL_LISTEN: intake,
    WAYBILL_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
    ...options.env,
  };
  const guarded = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "all",
    "--security-opt",
    "no-new-privileges",
  ];
  const mounts = [`${options.config}:/etc/waybill/waybill.yaml:ro`, `${options.volume}:/var/lib/waybill`];
  const args = [
    ...runArgs,
    ...mounts.flatMap((mount) => ["--volume", mount]),
    ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
  ];
  const id = await podman("run", "--detach", "--network", "host", ...guarded, ...args, IMAGE);
  const intakeUrl = `http://${intake}`;
  const logs = (): Promise<string> => podman("logs", id);
  try {
    await until(START_MAX_MS, async () => (await fetch(`${intakeUrl}/ready`).catch(() => undefined))?.status === 200);
  } catch (error) {
    throw new Error(`the container is not ready: ${await logs()}`, { cause: error });
  }
  return {
    intakeUrl,
    exec: (...command) => podman("exec", id, ...command),
    checkHealth: async () => void (await podman("healthcheck", "run", id)),
    logs,
    async stop(deadlineSeconds) {
      await podman("stop", "--time", String(deadlineSeconds), id);
      return Number(await podman("inspect", id, "--format", "{{.State.ExitCode}}"));
    },
  };
}
