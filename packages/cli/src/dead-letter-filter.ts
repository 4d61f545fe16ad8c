/** Which dead letters: the options that the commands about them share. */
import type { GivenQuery } from "@waybill/relay";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type AdminOptions, withAdminOptions } from "./admin-client.ts";
import { laneOf } from "./command.ts";
import { checkRange, TIME_FORMATS, timeOption } from "./times.ts";

type Filter = GivenQuery<"discardDeadLetters">;

export interface FilterOptions extends AdminOptions {
  readonly id?: string;
  readonly state?: NonNullable<Filter["state"]>;
  readonly source?: string;
  readonly name?: string;
  readonly user?: string;
  readonly reason?: string;
  readonly since?: number;
  readonly until?: number;
  readonly json?: boolean;
}

const STATES = ["waiting", "retried", "discarded"];

/** A command with a destination and the filter. */
export function filteredCommand(group: Command, name: string, description: string): Command {
  return withAdminOptions(group.command(`${name} <environment/destination>`).description(description))
    .option("--id <ids>", "only those of these ids, as the list has them, separated by commas", ids)
    .addOption(new Option("--state <state>", "only those in this state").choices(STATES))
    .option("--source <name>", "only events of this source")
    .option("--name <name>", "only events of this name: 'Order Completed'")
    .option("--user <id>", "only events of this user id or anonymous id")
    .option("--reason <text>", "only those whose reason contains this text")
    .option("--since <time>", `only those rejected then or later: ${TIME_FORMATS}`, timeOption)
    .option("--until <time>", "only those rejected before then", timeOption);
}

function ids(text: string): string {
  if (text.split(",").every((id) => ID.test(id))) return text;
  throw new InvalidArgumentError("Write ids as 17 or as 17,18, of all partitions as 3:17; the list has them.");
}

/** For --after. */
export function idAfter(text: string): string {
  if (ID.test(text)) return text;
  throw new InvalidArgumentError("Write it as the page before does.");
}

/** Of all partitions of a cluster each has the ids of its own: `3:17`. */
const ID = /^(?:\d+:)?\d+$/;

/** What a dead letter, or the example of a reason, is called in the list of a destination. */
export function idIn(lane: string, { id, partition }: { readonly id: number; readonly partition?: number }): string {
  const isOfOne = /\/\d+$/.test(paramsOf(lane).environment);
  return partition === undefined || isOfOne ? String(id) : `${partition}:${id}`;
}

/** **Errors**: `WAYBILL_INPUT` for a range without time in it. */
export function filterOf({ id, state, source, name, user, reason, since, until }: FilterOptions): {
  readonly [K in Exclude<keyof Filter, "dryRun">]: Filter[K] | undefined;
} {
  checkRange({ since, until });
  return { id, state, source, name, user, reason, since, until };
}

export function paramsOf(lane: string): { readonly environment: string; readonly destination: string } {
  const [environment, destination] = laneOf(lane);
  return { environment, destination };
}
