/** `engine: kafka`: its schema, what must hold between its parts, and what will hardly be meant. */

import { topicNameFaults } from "@waybill/log-kafka/topic-names";
import { certificatesOf } from "@waybill/node";
import { checked, count, filePath, key, text } from "@waybill/vendors/config";
import { adapterOf } from "@waybill/vendors/registry";
import { z } from "zod";
import { isLoopback } from "../admin/guard.ts";
import { certificateFrom } from "../tls/certificate.ts";
import { addressOf } from "./address.ts";
import type { Engine, KafkaConfig, KafkaTlsFiles, ParsedKafka } from "./kafka-types.ts";
import type { OutsideFiles } from "./outside-files.ts";
import type { Path } from "./places.ts";
import type { ParsedConfig } from "./types.ts";

/** More are one of Kafka's own limits away: each is read and committed by itself. */
const PARTITIONS_MAX = 1_000;
const PARTITIONS_DEFAULT = 12;
/** Kafka counts them in 16 bits; nobody has so many. */
const REPLICAS_MAX = 100;
const REPLICAS_DEFAULT = 3;
const IN_SYNC_DEFAULT = 2;
const PREFIX_MAX_CHARACTERS = 100;
/** Who reads the topic can try keys: one that a person thinks of is found. */
const SEALING_KEY_MIN_CHARACTERS = 32;

const broker = checked(z.string(), (value) => {
  const address = addressOf(value);
  return address === undefined || address.port === 0
    ? { message: "it must be the address of a broker", hint: "for example kafka-1.internal:9092", quotes: true }
    : undefined;
});

/** Other relays show it: a password has no place in it. */
const advertised = checked(z.string(), (value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  return isHttp && url.username === "" && url.password === ""
    ? undefined
    : {
        message: "it must be a URL of http or https, without a user",
        hint: "for example http://relay-1.internal:8081",
      };
});

const tls = z
  .union([
    z.literal(true),
    z.strictObject({
      ca: filePath({
        description: "File of the CAs that are trusted, in PEM, in the place of Node's.",
        example: "/etc/waybill/kafka/ca.crt",
      }).optional(),
      cert: filePath({
        description: "File of the relay's own certificate in PEM, where the brokers want one.",
        example: "/etc/waybill/kafka/tls.crt",
      }).optional(),
      key: filePath({
        description: "File of its private key in PEM, without a passphrase.",
        example: "/etc/waybill/kafka/tls.key",
      }).optional(),
    }),
  ])
  .meta({ description: "TLS to the brokers: true, or files. Without it connections are in clear text." });

const sasl = z
  .strictObject({
    mechanism: z
      .enum(["plain", "scram-sha-256", "scram-sha-512"])
      .meta({ description: "How the relay shows who it is." }),
    username: text({ description: "Name of the relay's user.", example: "waybill" }),
    password: z.string().min(1).meta({
      description: "Its password, best as a reference to a variable or a file.",
      writeOnly: true,
    }),
  })
  .meta({ description: "The relay's user at the brokers. Default: none." });

export const engineSchema: z.ZodType<Engine> = z
  .enum(["disk", "kafka"])
  .default("disk")
  .meta({ description: "Where the log is: on this machine's disk, or in topics of a Kafka cluster." });

export const kafkaSchema: z.ZodOptional<z.ZodType<ParsedKafka>> = z
  .strictObject({
    brokers: z
      .array(broker)
      .min(1)
      .meta({
        description: "Some of the cluster's brokers, host:port each. The others are found by them.",
        examples: [["kafka-1.internal:9092", "kafka-2.internal:9092"]],
      }),
    tls: tls.optional(),
    sasl: sasl.optional(),
    topicPrefix: z
      .string()
      .max(PREFIX_MAX_CHARACTERS)
      .regex(
        /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
        "it must be of ASCII letters and digits, - and _, with dots between",
      )
      .default("waybill")
      .meta({
        description:
          "What the names of all topics and groups begin with. One for each installation: `acme-eu` and `acme-us`; names of `acme` and `acme.us` could be the same. No environment can be called `desired`, `relays`, `dead`, `marks` or `fates`.",
      }),
    partitions: count({
      min: 1,
      max: PARTITIONS_MAX,
      description:
        "Of each environment's topic: at most so many relays deliver to a destination at once. It is fixed when the topic is created.",
    }).default(PARTITIONS_DEFAULT),
    replicationFactor: count({
      min: 1,
      max: REPLICAS_MAX,
      description: "How many brokers have each event.",
    }).default(REPLICAS_DEFAULT),
    minInSyncReplicas: count({
      min: 1,
      max: REPLICAS_MAX,
      description:
        "How many of them must have an event before it is accepted. With fewer, requests are answered with 503. Default: 2, or 1 where replicationFactor is 1.",
    }).optional(),
    clientId: key("How the relay is called in the brokers' logs, quotas and groups.")
      .meta({ writeOnly: false })
      .default("waybill"),
    sealingKey: z
      .string()
      .min(SEALING_KEY_MIN_CHARACTERS)
      .meta({
        description:
          "Keys that the admin API rotates are sealed with it in Kafka, where each relay reads them: the same for all relays, and best a reference to a variable or a file. `openssl rand -base64 32` makes one. Without it a rotation by the admin API is refused.",
        writeOnly: true,
      })
      .optional(),
    advertise: advertised
      .meta({
        description: "URL of this relay's admin API as other relays and people reach it. Default: it is not shown.",
        examples: ["http://relay-1.internal:8081"],
      })
      .optional(),
  })
  .meta({ description: "The cluster, for engine: kafka." })
  .optional();

/** `undefined` for the disk. */
export function kafkaConfigOf({ engine, kafka }: Pick<ParsedConfig, "engine" | "kafka">): KafkaConfig | undefined {
  if (engine === "disk" || kafka === undefined) return undefined;
  const { tls: files, sasl: user, sealingKey, advertise, ...rest } = kafka;
  return {
    ...rest,
    ...(files === undefined ? {} : { tls: files === true ? {} : files }),
    ...(user === undefined ? {} : { sasl: user }),
    ...(sealingKey === undefined ? {} : { sealingKey }),
    ...(advertise === undefined ? {} : { advertise }),
    minInSyncReplicas: inSyncOf(kafka),
  };
}

function inSyncOf({ minInSyncReplicas, replicationFactor }: ParsedKafka): number {
  return minInSyncReplicas ?? Math.min(IN_SYNC_DEFAULT, replicationFactor);
}

type Report = (path: Path, message: string, hint?: string) => void;

export function kafkaFaults(config: ParsedConfig, files: OutsideFiles, fault: Report): void {
  const { engine, kafka } = config;
  if (engine === "kafka" && kafka === undefined)
    fault(["engine"], "is kafka, and there is no kafka.brokers", "name some brokers of the cluster, host:port each");
  if (engine === "disk" && kafka !== undefined)
    fault(["kafka"], "is there, and engine is disk", "set engine: kafka, or take it out");
  if (engine === "disk" || kafka === undefined) return;
  for (const [index, one] of kafka.brokers.entries())
    if (kafka.brokers.indexOf(one) < index) fault(["kafka", "brokers", index], `is ${one}, which is there twice`);
  if (inSyncOf(kafka) > kafka.replicationFactor)
    fault(
      ["kafka", "minInSyncReplicas"],
      "is above kafka.replicationFactor, so that nothing would ever be accepted",
      "one below kafka.replicationFactor goes on when a broker is lost",
    );
  tlsFaults(kafka, files, fault);
  const environments = Object.entries(config.environments).map(([name, { destinations }]) => ({
    name,
    destinations: Object.keys(destinations),
  }));
  for (const { environment, destination, message } of topicNameFaults(kafka.topicPrefix, environments))
    fault(
      ["environments", environment, ...(destination === undefined ? [] : ["destinations", destination])],
      message,
      "choose another name, or a shorter kafka.topicPrefix where its topic is too long",
    );
}

/** Files that are missing offline are not looked into. */
function tlsFaults({ tls: given }: ParsedKafka, files: OutsideFiles, fault: Report): void {
  if (given === undefined || given === true) return;
  const hint = "it must be a file in PEM that the relay may read";
  const at = (name: keyof KafkaTlsFiles): Path => ["kafka", "tls", name];
  const read = (name: keyof KafkaTlsFiles, path: string | undefined): string | undefined => {
    if (path === undefined) return undefined;
    const found = files.pem(path);
    if (!("fault" in found)) return files.isMissing(path) ? undefined : found.pem;
    fault(at(name), `is ${path}, which ${found.fault}`, hint);
    return undefined;
  };
  const [ca, cert, privateKey] = [read("ca", given.ca), read("cert", given.cert), read("key", given.key)];
  const cas = ca === undefined ? undefined : certificatesOf(ca);
  if (cas !== undefined && "fault" in cas) fault(at("ca"), `is ${given.ca}, which ${cas.fault}`, hint);
  if ((given.cert === undefined) !== (given.key === undefined))
    fault(
      at(given.cert === undefined ? "key" : "cert"),
      `needs a kafka.tls.${given.cert === undefined ? "cert" : "key"} beside it`,
    );
  if (cert === undefined || privateKey === undefined) return;
  const found = certificateFrom(cert, privateKey);
  if ("fault" in found)
    fault(at(found.of), `is ${found.of === "cert" ? given.cert : given.key}, which ${found.fault}`, hint);
}

export function kafkaWarnings(
  { engine, kafka, environments }: ParsedConfig,
  warn: (path: Path, message: string, hint: string) => void,
): void {
  if (engine === "disk" || kafka === undefined) return;
  const { brokers, replicationFactor } = kafka;
  const inSync = inSyncOf(kafka);
  if (replicationFactor === 1)
    warn(
      ["kafka", "replicationFactor"],
      "is 1: the loss of one broker loses what was accepted",
      "3 is what clusters have as a rule",
    );
  else if (inSync === 1)
    warn(
      ["kafka", "minInSyncReplicas"],
      "is 1: what a broker accepted while it was alone is lost with it",
      "2 answers 503 meanwhile",
    );
  else if (inSync === replicationFactor)
    warn(
      ["kafka", "minInSyncReplicas"],
      "is kafka.replicationFactor: while one broker is away nothing is accepted",
      `${inSync - 1} of ${replicationFactor} goes on without it`,
    );
  const isLocal = brokers.every((one) => isLoopback(addressOf(one)?.host.toLowerCase() ?? ""));
  if (kafka.sasl?.mechanism === "plain" && kafka.tls === undefined && !isLocal)
    warn(
      ["kafka", "sasl", "mechanism"],
      "is plain without TLS: the password goes over the network in clear text",
      "set kafka.tls, or use scram-sha-512",
    );
  const sources = Object.values(environments).flatMap((environment) => Object.values(environment.sources));
  const waiting = sources.find(({ protocol }) => adapterOf(protocol).inbound.hasExchanges === true);
  if (kafka.advertise === undefined && waiting !== undefined)
    warn(
      ["kafka"],
      `has no advertise: callers who want ${adapterOf(waiting.protocol).title}'s own answer hear only that the event is stored where another relay sends it`,
      "set kafka.advertise of each relay to the address that the others have for its admin API; one relay alone needs none",
    );
}
