import type { Command } from "commander";
import type { AddCommand } from "../command.ts";
import { addCopy } from "./log/copy.ts";
import { addDump } from "./log/dump.ts";
import { addRepair } from "./log/repair.ts";
import { addTail } from "./log/tail.ts";
import { addVerify } from "./log/verify.ts";

export const addLogCommand: AddCommand = (program, io, finish) => {
  const log: Command = program.command("log").description("work with the log, without a relay");
  for (const add of [addVerify, addRepair, addDump, addTail, addCopy]) add(log, io, finish);
};
