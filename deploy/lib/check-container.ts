/** For `npm run install-check`: whether the image is built, starts, is healthy and stops. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage, startContainer } from "./image.ts";
import { createContainerTool } from "./podman.ts";

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
  const tool = await createContainerTool((line) => process.stderr.write(`${line}\n`));
  if (typeof tool === "string") return { containerBuilt: false, containerSkipped: tool };
  const folder = mkdtempSync(join(tmpdir(), "waybill-deploy-"));
  try {
    const config = join(folder, "waybill.yaml");
    writeFileSync(config, CONFIG);
    await buildImage(tool.podman);
    const container = await startContainer(tool, { config, volume: "waybill-data" });
    await container.checkHealth();
    const code = await container.stop(STOP_SECONDS);
    if (code !== 0) throw new Error(`the container ended with ${code}: ${await container.logs()}`);
    return { containerBuilt: true, containerSkipped: null };
  } finally {
    await tool.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}
