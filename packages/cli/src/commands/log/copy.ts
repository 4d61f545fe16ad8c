import { nodeRuntime } from "@waybill/node";
import type { CopiedEnvironment } from "@waybill/relay/offline";
import { Option } from "commander";
import type { AddCommand } from "../../command.ts";
import { counted } from "../../counted.ts";
import { type Io, say, sayJson } from "../../io.ts";
import { createProgress } from "../../progress.ts";
import { readConfig } from "../../read-config.ts";

interface CopyFlags {
  readonly to: "kafka" | "disk";
  readonly resend?: boolean;
  readonly json?: boolean;
}

export const addCopy: AddCommand = (log, io) => {
  log
    .command("copy <config>")
    .description("copy the logs of relays that are stopped from the disk to Kafka, or back, with all that waits")
    .addOption(new Option("--to <engine>", "where to").choices(["kafka", "disk"]).makeOptionMandatory())
    .option("--resend", "also where the last attempt to send events failed: they go again, under other keys")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      [
        "\nThe configuration has engine: kafka, and the dataDirectory of the disk. All its environments are",
        "copied; what was cut short is begun anew when the command is called again. Once it is done no relay",
        "starts on what was copied.",
        "\nEvents whose last attempt failed may have been taken all the same: their batches have keys by which",
        "vendors know them, and a copy makes other batches. So the copy is refused. Start the relay as it was,",
        "stop it once the destination takes events, and copy. Where it stays down, or does not mind events",
        "twice: --resend.",
        "\nExit codes: 0 done, 1 not done.\n\nExample:\n  waybill log copy waybill.yaml --to kafka",
      ].join("\n"),
    )
    .action(async (file: string, { to, resend = false, json }: CopyFlags) => {
      const config = await readConfig(file, io.env);
      const { copyLog } = await import("@waybill/relay/offline");
      const runtime = nodeRuntime({ permissions: config.permissions });
      const progress = createProgress(io, { total: undefined, unit: "events" });
      let before = 0;
      let last = { environment: "", events: 0 };
      try {
        const copied = await copyLog({
          config,
          to,
          runtime,
          resend,
          onProgress: (one) => {
            if (one.environment !== last.environment) before += last.events;
            last = one;
            progress.update(before + one.events, before + one.events);
          },
        });
        progress.stop();
        if (json === true) sayJson(io, { to, environments: copied });
        else show(copied, to, io);
      } finally {
        progress.stop();
      }
    });
};

function show(copied: readonly CopiedEnvironment[], to: "kafka" | "disk", io: Io): void {
  for (const { environment, isDone, events, duplicates, destinations } of copied) {
    if (isDone) {
      say(io, `${environment}: was copied before`);
      continue;
    }
    say(io, `${environment}: ${counted(events, "event")} copied`);
    for (const { destination, pending, leftOut, deadLetters } of destinations) {
      const left = leftOut === 0 ? "" : `, ${leftOut} that waited were duplicates or damaged and are dropped`;
      say(io, `  ${destination}: ${counted(pending, "event")} waiting, ${counted(deadLetters, "dead letter")}${left}`);
    }
    if (duplicates > 0)
      say(io, `  ${counted(duplicates, "event")} have ids that are there before, and will be dropped as duplicates`);
  }
  say(io, `Start the relays with engine: ${to}; what was copied from is used by none any more.`);
}
