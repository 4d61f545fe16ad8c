import { nodeClock } from "@waybill/node";
import { createLogger, loadConfig, type RelayConfig, startRelay } from "@waybill/relay";
import { SegmentTwin, type StartedServer, startServer } from "@waybill/testing";
import type { AddCommand } from "../command.ts";
import { readConfig } from "../read-config.ts";

/** Kept by the twin behind a relay without configuration: it may run for weeks. */
const TWIN_KEEPS = 1_000_000;

export const addRelayCommand: AddCommand = (program, io) => {
  program
    .command("relay")
    .description("run the relay; without a configuration it delivers to a twin of Segment, to try it out")
    .option("-c, --config <file>", "configuration file (YAML); also WAYBILL_CONFIG")
    .addHelpText(
      "after",
      "\nSIGTERM and SIGINT: stop accepting, finish what is in flight, exit 0. SIGHUP: reload the configuration.\n\nExample:\n  waybill relay --config waybill.yaml",
    )
    .action(async (options: { readonly config?: string }) => {
      const file = options.config ?? io.env["WAYBILL_CONFIG"];
      let twin: StartedServer | undefined;
      if (file === undefined)
        twin = await startServer(new SegmentTwin({ clock: nodeClock, keepEvents: 0, keepIds: TWIN_KEEPS }).handle);
      const read = async (): Promise<RelayConfig> =>
        file === undefined ? defaultConfig(io.env, twin?.url ?? "") : readConfig(file, io.env);
      try {
        const config = await read();
        const logger = createLogger(config.logLevel);
        const relay = await startRelay(config, { logger, reloadConfig: read });
        io.onReload(() => {
          void relay.reload(read).then(({ ok, errors }) => {
            if (!ok) logger.error({ errors }, "configuration not reloaded; the old one goes on");
          });
        });
        await new Promise<void>((resolve) => io.onStop(resolve));
        await relay.stop();
      } finally {
        await twin?.close();
      }
    });
};

function defaultConfig(env: Readonly<Record<string, string | undefined>>, twinUrl: string): RelayConfig {
  const text = JSON.stringify({
    listen: "127.0.0.1:8080",
    network: { allowPrivateAddresses: true },
    environments: {
      dev: {
        sources: { app: { protocol: "segment", writeKeys: ["dev"] } },
        destinations: { twin: { vendor: "segment", url: twinUrl, writeKey: "dev" } },
      },
    },
  });
  return loadConfig({ file: "default configuration", text, env });
}
