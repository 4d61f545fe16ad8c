/**
 * Copies the log of an environment, with all that its destinations know: from the disk to Kafka, or
 * back. No relay may run.
 *
 * What is copied to is marked before anything is written there, and no relay starts on it until the
 * copy has ended; what was copied is marked before that, and no relay starts on it any more. So at
 * every moment at most one of them is used. A copy that was cut short, at any place, is begun anew:
 * what it has left is taken away first.
 *
 *   mark the target -> events, dead letters, fates -> read again, compare -> states of the lanes
 *     -> mark the source -> take the mark off the target
 */
import { assert, type DiskRuntime, WaybillError } from "@waybill/core";
import { newLaneId, segmentNames } from "@waybill/log";
import type { Broker } from "@waybill/log-kafka";
import type { CopyMark, MarkedCheckpoint } from "../cluster/checkpoints.ts";
import type { KafkaConfig } from "../config/kafka-types.ts";
import type { EnvironmentConfig, RelayConfig } from "../config/types.ts";
import { type Carried, carry, firstStates, type SourcePart, type Target, type TargetPart } from "./carry.ts";
import { type DiskMark, mark, marksOf, unmark } from "./disk-mark.ts";
import { openDiskSource } from "./disk-source.ts";
import { DiskTarget } from "./disk-target.ts";
import { KafkaSide, type KafkaSideOptions } from "./kafka-side.ts";
import { openKafkaSource } from "./kafka-source.ts";
import { type FirstState, KafkaTarget } from "./kafka-target.ts";

export interface CopyProgress {
  readonly environment: string;
  /** Events that were copied. */
  readonly events: number;
}

export interface CopiedDestination {
  readonly destination: string;
  /** Events that wait for it, in the copy. */
  readonly pending: number;
  /** Of those that waited: duplicates and damaged ones. They are dropped. */
  readonly leftOut: number;
  readonly deadLetters: number;
}

export interface CopiedEnvironment {
  readonly environment: string;
  /** It had been copied by an earlier call; the rest is 0 then. */
  readonly isDone: boolean;
  readonly events: number;
  /** Events in the copy that a lane on Kafka will drop as duplicates of others there. */
  readonly duplicates: number;
  readonly destinations: readonly CopiedDestination[];
}

interface Marks {
  readonly onKafka: CopyMark | undefined;
  readonly onDisk: readonly DiskMark[];
}

export interface EnvironmentCopyOptions {
  readonly config: RelayConfig;
  readonly kafka: KafkaConfig;
  readonly broker: Broker;
  readonly runtime: DiskRuntime;
  readonly to: "kafka" | "disk";
  readonly resend?: boolean;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** As `copyLog`, of one environment. The data directory is locked. */
export function copyEnvironment(
  options: EnvironmentCopyOptions,
  environment: EnvironmentConfig,
): Promise<CopiedEnvironment> {
  return new EnvironmentCopy(options, environment).run();
}

class EnvironmentCopy {
  readonly #options: EnvironmentCopyOptions;
  readonly #environment: EnvironmentConfig;
  readonly #directory: string;
  readonly #side: KafkaSide;
  readonly #sideOptions: KafkaSideOptions;

  constructor(options: EnvironmentCopyOptions, environment: EnvironmentConfig) {
    const { config, kafka, broker, runtime } = options;
    const { dedupe, retention } = config;
    this.#options = options;
    this.#environment = environment;
    this.#directory = `${config.dataDirectory}/${environment.name}`;
    this.#sideOptions = { config: environment, kafka, broker, runtime, dedupe, retention };
    this.#side = new KafkaSide(this.#sideOptions);
  }

  async run(): Promise<CopiedEnvironment> {
    const maxMessageBytes = await this.#side.openTopics();
    await this.#side.refuseMembers();
    const marked = await this.#side.patiently(() => this.#side.checkpoints.readMarked(this.#side.all));
    const onKafka = [...marked.values()].find(({ copy }) => copy !== undefined)?.copy;
    const onDisk = await marksOf(this.#options.runtime.disk, this.#directory);
    if (this.#options.to === "disk") return this.#toDisk(marked, { onKafka, onDisk });
    if (onDisk.includes("moved") && onKafka === undefined) {
      if (marked.size === 0) throw leftOver(this.#directory, "Its log was copied to another cluster, or prefix.");
      return done(this.#environment.name);
    }
    return this.#toKafka(maxMessageBytes, { onKafka, onDisk });
  }

  async #toKafka(maxMessageBytes: number, { onKafka, onDisk }: Marks): Promise<CopiedEnvironment> {
    const { runtime, resend } = this.#options;
    const directory = this.#directory;
    if (onDisk.includes("copying")) throw unfinished(directory, "disk");
    if (onKafka === "moved")
      throw leftOver(this.#side.topic, "Choose another kafka.topicPrefix, or remove the topics.");
    if (onKafka === undefined) await this.#side.refuseUsed();
    const source = await openDiskSource({ ...this.#sideOptions, directory });
    try {
      refusePlanned(source.parts, resend);
      const begin = source.parts[0]?.from ?? 0;
      const target = await KafkaTarget.open(this.#side, this.#sideOptions, { begin, maxMessageBytes });
      try {
        const carried = await this.#carry(source.parts, target);
        const { ends, duplicates } = await target.writeStates(await this.#firstStates(carried, target));
        await this.#side.refuseMembers();
        await mark(runtime.disk, directory, "moved");
        await this.#side.patiently(() => this.#side.checkpoints.mark(ends));
        return this.#copied(carried, duplicates);
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  async #toDisk(marked: ReadonlyMap<number, MarkedCheckpoint>, { onKafka, onDisk }: Marks): Promise<CopiedEnvironment> {
    const { runtime, resend } = this.#options;
    const directory = this.#directory;
    if (onKafka === "moved" && onDisk.length === 0) {
      if (!(await hasLog(directory, runtime))) throw leftOver(this.#side.topic, "Its log was copied to another disk.");
      return done(this.#environment.name);
    }
    if (onKafka === "copying") throw unfinished(this.#side.topic, "kafka");
    if (onDisk.includes("moved") || (onDisk.length === 0 && (await hasLog(directory, runtime))))
      throw leftOver(directory, `Move it away first, for example to ${directory}.before.`);
    const source = await openKafkaSource(this.#side, this.#sideOptions);
    try {
      refusePlanned(source.parts, resend);
      // After all that is not copied: positions of dead letters stay what they are.
      const begin = Math.max(0, ...source.parts.map(({ from }) => from));
      const target = await DiskTarget.open({ ...this.#sideOptions, directory }, begin);
      try {
        const carried = await this.#carry(source.parts, target);
        for (const [name, states] of await this.#firstStates(carried, target))
          for (const state of states.values()) await target.writeState(name, { ...state, byte: 0 });
        await this.#side.refuseMembers();
        await this.#side.patiently(() => this.#side.checkpoints.mark(this.#side.placesOf(marked), "moved"));
        await unmark(runtime.disk, directory, "copying");
        return this.#copied(carried, 0);
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  #carry(parts: readonly SourcePart[], target: Target): Promise<Carried> {
    const environment = this.#environment.name;
    return carry(parts, target, (events) => this.#options.onProgress?.({ environment, events }));
  }

  /** By destination. */
  async #firstStates(
    { lanes }: Carried,
    target: Target,
  ): Promise<ReadonlyMap<string, ReadonlyMap<TargetPart, FirstState>>> {
    const states = new Map<string, Map<TargetPart, FirstState>>();
    for (const lane of lanes) {
      const config = this.#environment.destinations.find(({ name }) => name === lane.destination);
      assert(config !== undefined, "only configured destinations are carried");
      const own = new Map<TargetPart, FirstState>();
      for await (const [part, state] of firstStates(lane, target, config.vendor))
        own.set(part, { ...state, id: newLaneId(this.#options.runtime.random) });
      states.set(lane.destination, own);
    }
    return states;
  }

  #copied({ events, lanes }: Carried, duplicates: number): CopiedEnvironment {
    const destinations = lanes.map(({ destination, pending, leftOut, deadLetters }) => {
      return { destination, pending, leftOut, deadLetters };
    });
    return { environment: this.#environment.name, isDone: false, events, duplicates, destinations };
  }
}

function done(environment: string): CopiedEnvironment {
  return { environment, isDone: true, events: 0, duplicates: 0, destinations: [] };
}

async function hasLog(directory: string, { disk }: DiskRuntime): Promise<boolean> {
  return (await segmentNames(`${directory}/log`, disk).catch(() => [])).length > 0;
}

/** **Errors**: `WAYBILL_LOG_COPY`. */
function refusePlanned(parts: readonly SourcePart[], resend = false): void {
  const lanes = resend ? [] : parts.flatMap((part) => part.lanes.filter(({ planned }) => planned > 0));
  if (lanes.length === 0) return;
  const planned = new Map<string, number>();
  for (const lane of lanes) planned.set(lane.name, (planned.get(lane.name) ?? 0) + lane.planned);
  const texts = Array.from(planned, ([name, events]) => `${name} (${events})`);
  throw new WaybillError(
    "WAYBILL_LOG_COPY",
    `Some events may have been sent, and their destination has not taken them as far as is known: ${texts.join(", ")}`,
    {
      hint: "In the copy they go again under other keys, and so twice where it took them: neither a 503 nor a missing answer tells. Start the relay as it was, stop it once the destination takes events, and copy; or allow it with --resend.",
    },
  );
}

function unfinished(where: string, to: "disk" | "kafka"): WaybillError {
  return new WaybillError("WAYBILL_LOG_COPY", `A copy to ${where} was cut short`, {
    hint: `End it first: waybill log copy --to ${to}.`,
  });
}

function leftOver(where: string, hint: string): WaybillError {
  return new WaybillError("WAYBILL_LOG_COPY", `There is a log in ${where}, or what was copied from it`, { hint });
}
