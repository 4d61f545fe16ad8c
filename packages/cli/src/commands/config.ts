import { nodeDisk } from "@waybill/node";
import { ConfigError, type RelayConfig } from "@waybill/relay";
import type { Command } from "commander";
import type { AddCommand } from "../command.ts";
import { counted } from "../counted.ts";
import { complain, EXIT, type Io, say, sayJson } from "../io.ts";
import { readConfig, readConfigOffline } from "../read-config.ts";

export const addConfigCommand: AddCommand = (program, io, finish) => {
  const config: Command = program.command("config").description("work with the relay's configuration file");
  config
    .command("check <file>")
    .description(
      "check a configuration file; prints every fault, and what will hardly do what was meant, with line, path and hint",
    )
    .option("--offline", "where its secrets are not: name variables and files that are missing as not checked")
    .option("--json", "print the result as JSON, also of a file that is wrong")
    .addHelpText(
      "after",
      [
        "\nExit codes: 0 right (warnings are on standard error), 1 the file cannot be read, 78 wrong.",
        "\nExample:",
        "  waybill config check waybill.yaml",
        "  waybill config check --offline waybill.yaml",
      ].join("\n"),
    )
    .action(async (file: string, { json, offline = false }: CheckFlags) => {
      const check = (): Promise<Checked> => checked(file, offline, io);
      if (json === true) finish(await showJson(file, check, io));
      else show(file, await check(), io);
    });
};

interface CheckFlags {
  readonly json?: boolean;
  readonly offline?: boolean;
}

interface Checked {
  /** Absent where what is missing decides what the rest is. */
  readonly config: RelayConfig | undefined;
  /** Variables and files that are not here. */
  readonly notChecked: readonly string[];
}

async function checked(file: string, offline: boolean, io: Io): Promise<Checked> {
  if (offline) return await readConfigOffline(file, io.env);
  const config = await readConfig(file, io.env);
  return {
    config: { ...config, warnings: [...(config.warnings ?? []), ...(await leftOnDisk(config))] },
    notChecked: [],
  };
}

/** What a relay on Kafka would not deliver. */
async function leftOnDisk(config: RelayConfig): Promise<readonly string[]> {
  if (config.kafka === undefined) return [];
  const { diskLogWarnings } = await import("@waybill/relay/offline");
  return diskLogWarnings(config, nodeDisk);
}

function show(file: string, { config, notChecked }: Checked, io: Io): void {
  for (const warning of config?.warnings ?? []) complain(io, `warning: ${warning}`);
  for (const missing of notChecked) say(io, `not checked: ${missing}`);
  const rest = notChecked.length === 0 ? "" : ", but for what was not checked";
  say(io, `${file} is right${rest}${config === undefined ? "" : `: ${summaryOf(shapeOf(config))}`}`);
}

function summaryOf(shape: Shape): string {
  const { environments, sources, destinations, listen } = shape;
  return (
    `${counted(environments, "environment")}, ${counted(sources, "source")}, ${counted(destinations, "destination")}, ` +
    `listens on ${listen}, ${placeOf(shape)}`
  );
}

function placeOf({ kafka, dataDirectory }: Shape): string {
  if (kafka === undefined) return `log in ${dataDirectory}`;
  const { brokers, topicPrefix, partitions, replicationFactor, minInSyncReplicas } = kafka;
  return (
    `log on Kafka at ${brokers.join(", ")} in topics ${topicPrefix}.*: ` +
    `${counted(partitions, "partition")} of each environment, ${replicationFactor} copies each, ${minInSyncReplicas} in sync; ` +
    `attempts in ${dataDirectory}`
  );
}

/** Returns the exit code. */
async function showJson(file: string, check: () => Promise<Checked>, io: Io): Promise<number> {
  try {
    const { config, notChecked } = await check();
    sayJson(io, { ok: true, file, faults: [], notChecked, ...(config === undefined ? {} : shapeOf(config)) });
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    sayJson(io, { ok: false, file, faults: error.faults });
    return EXIT.config;
  }
}

interface Shape {
  readonly environments: number;
  readonly sources: number;
  readonly destinations: number;
  readonly listen: string;
  readonly dataDirectory: string;
  /** Absent: the log is in the data directory. */
  readonly kafka?: KafkaShape;
  readonly warnings: readonly string[];
}

type KafkaShape = Pick<
  NonNullable<RelayConfig["kafka"]>,
  "brokers" | "topicPrefix" | "partitions" | "replicationFactor" | "minInSyncReplicas"
>;

function shapeOf({ environments, listen, dataDirectory, kafka, warnings = [] }: RelayConfig): Shape {
  return {
    environments: environments.length,
    sources: environments.reduce((total, { sources }) => total + sources.length, 0),
    destinations: environments.reduce((total, { destinations }) => total + destinations.length, 0),
    listen: `${listen.host}:${listen.port}`,
    dataDirectory,
    ...(kafka === undefined ? {} : { kafka: kafkaShapeOf(kafka) }),
    warnings,
  };
}

/** Without its secrets. */
function kafkaShapeOf({
  brokers,
  topicPrefix,
  partitions,
  replicationFactor,
  minInSyncReplicas,
}: KafkaShape): KafkaShape {
  return { brokers, topicPrefix, partitions, replicationFactor, minInSyncReplicas };
}
