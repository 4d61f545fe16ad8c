import { InvalidArgumentError } from "commander";
import { type AdminOptions, callAdmin, understood, withAdminOptions } from "../admin-client.ts";
import { type AddCommand, laneOf } from "../command.ts";
import { counted } from "../counted.ts";
import { say, sayJson } from "../io.ts";

interface SetCursorOptions extends AdminOptions {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export const addLanesCommand: AddCommand = (program, io) => {
  const group = program.command("lanes").description("steer the lane of a destination");
  withAdminOptions(group.command("set-cursor"))
    .description(
      "the last resort: move the cursor of a paused, halted or failed lane forward; what is not settled before it is dropped, as skipped",
    )
    .argument("<environment/destination>", "whose lane")
    .argument("<position>", "the next event to deliver, as a trace or a receipt names it", position)
    .option("--yes", "do it; without, only tell how many events it would skip")
    .option("--json", "print the answer of the admin API")
    .addHelpText("after", "\nExample:\n  waybill lanes set-cursor production/segment 184100 --yes")
    .action(async (lane: string, to: number, options: SetCursorOptions) => {
      const [environment, destination] = laneOf(lane);
      const dryRun = options.yes !== true;
      const body = { position: to, dryRun };
      const answer = await callAdmin(options, io, "moveCursor", { params: { environment, destination }, body });
      if (options.json === true) return sayJson(io, answer);
      const text = understood(options, () => {
        const events = counted(answer.events, "event");
        return answer.moved
          ? `Moved the cursor from ${answer.from} to ${answer.to}; ${events} skipped.`
          : `It would move the cursor from ${answer.from} to ${answer.to} and skip ${events}; do it with --yes.`;
      });
      say(io, text);
    });
};

function position(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError("It must be a whole number from 0.");
  return value;
}
