import { messageOf, WaybillError } from "@waybill/core";
import type { TailEvent } from "@waybill/relay";
import { type AdminOptions, openAdmin, understood, withAdminOptions } from "../admin-client.ts";
import type { AddCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, EXIT, say } from "../io.ts";
import { dataOf, INTERRUPTED, reasonOf } from "../server-sent.ts";

interface TailOptions extends AdminOptions {
  readonly environment?: string;
  readonly source?: string;
  readonly json?: boolean;
}

export const addTailCommand: AddCommand = (program, io, finish) => {
  withAdminOptions(program.command("tail"))
    .description("show events as they are stored, until Ctrl-C; in a cluster those of all relays")
    .option("--environment <name>", "only this environment; of a cluster production/3 is a partition")
    .option("--source <name>", "only this source")
    .option("--json", "print one JSON object per line")
    .addHelpText("after", "\nExample:\n  waybill tail --source web")
    .action(async (options: TailOptions) => {
      const { environment, source } = options;
      const response = await openAdmin(options, io, "tail", { query: { environment, source } });
      let isOver = false;
      const end = (): void => {
        isOver = true;
        response.destroy();
      };
      io.onStop(end);
      io.onGone(end);
      // The relay says why before it ends a tail that could have gone on.
      let wasInterrupted = false;
      try {
        for await (const message of dataOf(response)) {
          if (message === undefined) continue;
          const { event, data } = message;
          wasInterrupted = event === INTERRUPTED;
          if (wasInterrupted) {
            complain(
              io,
              understood(options, () => reasonOf(data)),
            );
            continue;
          }
          const shown = understood(options, () => readable(JSON.parse(data) as TailEvent | Skipped));
          say(io, options.json === true ? data : shown);
        }
        if (wasInterrupted) finish(EXIT.failed);
      } catch (error) {
        // A stream that is destroyed ends with an error too.
        if (isOver) return;
        if (error instanceof WaybillError) throw error;
        throw new WaybillError("WAYBILL_TRANSPORT", `The tail broke off: ${messageOf(error)}`, { cause: error });
      }
    });
};

/** Events that are not shown: this end was too slow. */
interface Skipped {
  readonly environment: string;
  readonly events: number;
}

function readable(sent: TailEvent | Skipped): string {
  return "events" in sent && typeof sent.events === "number"
    ? `${counted(sent.events, "event")} of ${sent.environment} not shown`
    : lineOf(sent as TailEvent);
}

/** An event is whatever JSON was stored. */
function lineOf({ environment, source, position, receivedAtMs, receipt, event }: TailEvent): string {
  const fields = (typeof event === "object" && event !== null ? event : {}) as Readonly<Record<string, unknown>>;
  const { type, event: name, userId, anonymousId, messageId } = fields;
  const what = [type, name].filter((part) => typeof part === "string").join(" ");
  const who = userId ?? anonymousId ?? "-";
  return `${new Date(receivedAtMs).toISOString()} ${environment}/${source} ${receipt ?? `#${position}`} ${what} ${textOf(who)} ${textOf(messageId)}`;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "undefined");
}
