import { request as httpRequest, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { messageOf, WaybillError } from "@waybill/core";
import type { TailEvent } from "@waybill/relay";
import type { AddCommand } from "../command.ts";

interface TailOptions {
  readonly admin: string;
  readonly token?: string;
  readonly environment?: string;
  readonly source?: string;
  readonly json?: boolean;
}

export const addTailCommand: AddCommand = (program, io) => {
  program
    .command("tail")
    .description("show events as they are stored, until Ctrl-C")
    .option("--admin <url>", "the relay's admin API", "http://127.0.0.1:8081")
    .option("--token <token>", "its token; also WAYBILL_ADMIN_TOKEN")
    .option("--environment <name>", "only this environment")
    .option("--source <name>", "only this source")
    .option("--json", "one JSON object a line")
    .addHelpText("after", "\nExample:\n  waybill tail --source web")
    .action(async (options: TailOptions) => {
      const response = await open(options, options.token ?? io.env["WAYBILL_ADMIN_TOKEN"]);
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

function open({ admin, environment, source }: TailOptions, token: string | undefined): Promise<IncomingMessage> {
  const query = new URLSearchParams({
    ...(environment === undefined ? {} : { environment }),
    ...(source === undefined ? {} : { source }),
  });
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${admin.replace(/\/+$/, "")}/v1/tail?${query}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
    request.on("response", (response) => {
      if (response.statusCode === 200) return resolve(response);
      response.resume();
      reject(
        new WaybillError("WAYBILL_INPUT", `${admin} answers ${response.statusCode}`, {
          hint:
            response.statusCode === 401 ? "Give the admin token with --token." : "Is this the admin API of a relay?",
        }),
      );
    });
    request.on("error", (error) =>
      reject(
        new WaybillError("WAYBILL_TRANSPORT", `No relay at ${admin}: ${messageOf(error)}`, {
          hint: "Start one with waybill dev, or name its admin API with --admin.",
        }),
      ),
    );
    request.end();
  });
}

function readable({ environment, source, position, receivedAtMs, event }: TailEvent): string {
  const { type, event: name, userId, anonymousId, messageId } = event as Record<string, unknown>;
  const what = [type, name].filter((part) => typeof part === "string").join(" ");
  const who = userId ?? anonymousId ?? "-";
  return `${new Date(receivedAtMs).toISOString()} ${environment}/${source} #${position} ${what} ${String(who)} ${String(messageId)}`;
}
