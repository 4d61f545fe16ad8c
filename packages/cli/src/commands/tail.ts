import { createInterface } from "node:readline";
import type { TailEvent } from "@waybill/relay";
import { type AdminOptions, openAdmin, withAdminOptions } from "../admin-client.ts";
import type { AddCommand } from "../command.ts";

interface TailOptions extends AdminOptions {
  readonly environment?: string;
  readonly source?: string;
  readonly json?: boolean;
}

export const addTailCommand: AddCommand = (program, io) => {
  withAdminOptions(program.command("tail"))
    .description("show events as they are stored, until Ctrl-C")
    .option("--environment <name>", "only this environment")
    .option("--source <name>", "only this source")
    .option("--json", "one JSON object a line")
    .addHelpText("after", "\nExample:\n  waybill tail --source web")
    .action(async (options: TailOptions) => {
      const { environment, source } = options;
      const response = await openAdmin(options, io, { path: "/v1/tail", query: { environment, source } });
      const lines = createInterface({ input: response });
      io.onStop(() => {
        // A stream that is destroyed never ends, so the lines have to be closed first.
        lines.close();
        response.destroy();
      });
      for await (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        const text = line.slice("data: ".length);
        io.out.write(options.json === true ? `${text}\n` : `${readable(JSON.parse(text) as TailEvent)}\n`);
      }
    });
};

function readable({ environment, source, position, receivedAtMs, event }: TailEvent): string {
  const { type, event: name, userId, anonymousId, messageId } = event as Record<string, unknown>;
  const what = [type, name].filter((part) => typeof part === "string").join(" ");
  const who = userId ?? anonymousId ?? "-";
  return `${new Date(receivedAtMs).toISOString()} ${environment}/${source} #${position} ${what} ${String(who)} ${String(messageId)}`;
}
