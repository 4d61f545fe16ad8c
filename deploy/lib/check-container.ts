/** For `npm run install-check`: whether the image is built, starts, is healthy and stops. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage, startContainer } from "./image.ts";
import { createEngine } from "./podman.ts";

export interface ContainerCheck {
  readonly containerBuilt: boolean;
  /** Why containers cannot be run here. */
  readonly containerSkipped: string | null;
}

const STOP_SECONDS = 25;
const CONFIG = `environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [dev] } }
    destinations: { archive: { vendor: file, path: /var/lib/waybill/events.ndjson } }
`;

/** **Errors**: what the build or the container says, where one can be run. */
export async function checkContainer(): Promise<ContainerCheck> {
  const engine = await createEngine((line) => process.stderr.write(`${line}\n`));
  if (typeof engine === "string") return { containerBuilt: false, containerSkipped: engine };
  const folder = mkdtempSync(join(tmpdir(), "waybill-deploy-"));
  try {
    const config = join(folder, "waybill.yaml");
    writeFileSync(config, CONFIG);
    await buildImage(engine.podman);
    const container = await startContainer(engine, { config, volume: "waybill-data" });
    await container.checkHealth();
    const code = await container.stop(STOP_SECONDS);
    if (code !== 0) throw new Error(`the container ended with ${code}: ${await container.logs()}`);
    return { containerBuilt: true, containerSkipped: null };
  } finally {
    await engine.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
