import { nodeClock } from "@waybill/node";
import { createLogger, loadConfig, loadConfigAside, type RelayConfig, startRelay } from "@waybill/relay";
import { SegmentEmulator, type StartedServer, startServer } from "@waybill/testing";
import type { AddCommand } from "../command.ts";
import { readConfig } from "../read-config.ts";

/** Kept by the emulator behind a relay without configuration: it may run for weeks. */
const EMULATOR_KEEPS = 1_000_000;

export const addRelayCommand: AddCommand = (program, io) => {
  program
    .command("relay")
    .description("run the relay; without a configuration it delivers to an emulator of Segment, to try it out")
    .option("-c, --config <file>", "configuration file (YAML); also WAYBILL_CONFIG")
    .addHelpText(
      "after",
      "\nSIGTERM and SIGINT: stop accepting, finish what is in flight, exit 0. SIGHUP: reload the configuration.\n\nExample:\n  waybill relay --config waybill.yaml",
    )
    .action(async (options: { readonly config?: string }) => {
      const file = options.config ?? io.env["WAYBILL_CONFIG"];
      let emulator: StartedServer | undefined;
      if (file === undefined)
        emulator = await startServer(
          new SegmentEmulator({ clock: nodeClock, keepEvents: 0, keepIds: EMULATOR_KEEPS }).handle,
        );
      const read = async (): Promise<RelayConfig> =>
        file === undefined ? defaultConfig(io.env, emulator?.url ?? "") : readConfig(file, io.env);
      try {
        const config = await read();
        const logger = createLogger(config.logLevel);
        const relay = await startRelay(config, {
          logger,
          reloadConfig: read,
          checkConfig: (text) => loadConfigAside({ file: file ?? "configuration", text, env: io.env }),
          ...(file === undefined ? {} : { configFile: file }),
        });
        io.onReload(() => {
          void relay.reload(read);
        });
        await new Promise<void>((resolve) => io.onStop(resolve));
        await relay.stop();
      } finally {
        await emulator?.close();
      }
    });
};

function defaultConfig(env: Readonly<Record<string, string | undefined>>, emulatorUrl: string): RelayConfig {
  const text = JSON.stringify({
    listen: "127.0.0.1:8080",
    network: { allowPrivateAddresses: true },
    environments: {
      dev: {
        sources: { app: { protocol: "segment", writeKeys: ["dev"] } },
        destinations: { emulator: { vendor: "segment", url: emulatorUrl, writeKey: "dev" } },
      },
    },
  });
  return loadConfig({ file: "default configuration", text, env });
}
