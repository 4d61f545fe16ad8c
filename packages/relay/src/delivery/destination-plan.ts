/**
 * A changed plan of destinations: everything that can fail is done before anything is switched, and
 * taken back when it fails.
 */
import type { Disk } from "@waybill/core";
import { Cleanup } from "../cleanup.ts";
import type { DestinationConfig } from "../config/types.ts";
import type { WriteLine } from "../log-lines/operator-log.ts";
import type { Destination } from "./destination.ts";

export interface PreparedPlan {
  /** What will be different, one line each. */
  readonly changed: readonly string[];
  /** Logs what will no longer be delivered. */
  readonly report: () => void;
  /** Takes the plan over, at once; resolves when what it no longer has is closed. */
  readonly commit: (deadlineMs: number) => Promise<void>;
  /** Closes what was made ready; the plan before goes on untouched. */
  readonly discard: () => Promise<void>;
}

export interface DestinationPlanOptions {
  readonly environment: string;
  /** The environment's directory. */
  readonly directory: string;
  readonly disk: Disk;
  /** Those there are; {@link PreparedPlan.commit} changes it. */
  readonly destinations: Map<string, Destination>;
  readonly open: (config: DestinationConfig) => Promise<Destination>;
  readonly report: WriteLine;
}

/** **Errors**: `WAYBILL_CONFIG`, `WAYBILL_DISK`; then nothing has changed. */
export function prepareDestinations(
  wanted: readonly DestinationConfig[],
  options: DestinationPlanOptions,
): Promise<PreparedPlan> {
  return Cleanup.around((cleanup) => prepare(wanted, options, cleanup));
}

async function prepare(
  wanted: readonly DestinationConfig[],
  options: DestinationPlanOptions,
  cleanup: Cleanup,
): Promise<PreparedPlan> {
  const { environment, destinations } = options;
  const changed: string[] = [];
  const commits: (() => void)[] = [];
  const next = new Map<string, Destination>();
  for (const config of wanted) {
    const present = destinations.get(config.name);
    const isSame = present !== undefined && JSON.stringify(present.config) === JSON.stringify(config);
    // Its flag data may have changed.
    if (isSame && !("flagsFile" in config && config.flagsFile !== undefined)) {
      next.set(config.name, present);
      continue;
    }
    const path = pathOf(config);
    if (path !== undefined && (present === undefined || path !== pathOf(present.config)))
      cleanup.add(await beginFile(path, options.disk));
    if (present === undefined) {
      const opened = await openNew(config, options, cleanup);
      next.set(config.name, opened);
      commits.push(() => opened.start());
      changed.push(`${environment}/${config.name} added`);
    } else {
      const prepared = present.prepare(config);
      cleanup.add(prepared.discard);
      next.set(config.name, present);
      commits.push(prepared.commit);
      if (!isSame) changed.push(`${environment}/${config.name} changed${vendorChange(present.config, config)}`);
    }
  }
  const removed = [...destinations.values()].filter(({ config }) => !next.has(config.name));
  const gone = removed.map((destination) => {
    const { events: waitingEvents, bytes: waitingBytes } = destination.pending();
    const fields = { environment, destination: destination.config.name, waitingEvents, waitingBytes };
    return { ...fields, text: removedText(environment, destination) };
  });
  return {
    changed: [...changed, ...gone.map(({ text }) => text)],
    report() {
      for (const fields of gone) if (fields.waitingEvents > 0) options.report("destination_removed", fields);
    },
    async commit(deadlineMs) {
      destinations.clear();
      for (const [name, destination] of next) destinations.set(name, destination);
      for (const commit of commits) commit();
      await Promise.all(removed.map((destination) => destination.close(deadlineMs)));
    },
    discard: () => cleanup.run(),
  };
}

/**
 * A destination that was never there leaves no state behind when the plan is not taken: it would
 * begin there later, not at the head.
 */
async function openNew(
  config: DestinationConfig,
  { directory, disk, open }: DestinationPlanOptions,
  cleanup: Cleanup,
): Promise<Destination> {
  const lanes = `${directory}/lanes`;
  await disk.makeDirectory(lanes);
  if (!(await disk.list(lanes)).includes(config.name))
    cleanup.add(async () => {
      if ((await disk.list(lanes)).includes(config.name)) await disk.remove(`${lanes}/${config.name}`);
    });
  const opened = await open(config);
  cleanup.add(() => opened.close(0));
  return opened;
}

/** The file that a destination appends to. */
function pathOf(config: DestinationConfig): string | undefined {
  return config.vendor === "file" ? config.path : undefined;
}

/** Opens a file that events are to be appended to, as a trial; returns how to take that back. */
async function beginFile(path: string, disk: Disk): Promise<() => Promise<void>> {
  const slash = path.lastIndexOf("/");
  const directory = slash === -1 ? "." : path.slice(0, slash);
  await disk.makeDirectory(directory);
  const isNew = !(await disk.list(directory)).includes(path.slice(slash + 1));
  const file = await disk.open(path, { create: isNew });
  await file.close();
  return async () => {
    if (isNew) await disk.remove(path);
  };
}

function vendorChange(before: DestinationConfig, after: DestinationConfig): string {
  if (before.vendor === after.vendor) return "";
  return `: it delivers to ${after.vendor}, before to ${before.vendor}; cursor, ledger and dead letters stay`;
}

function removedText(environment: string, destination: Destination): string {
  const { events } = destination.pending();
  const name = `${environment}/${destination.config.name}`;
  if (events === 0) return `${name} removed`;
  return `${name} removed; ${waitingText(events)} in its lane state and are delivered if a destination of that name returns`;
}

/** `1,234 events wait` */
export function waitingText(events: number): string {
  return events === 1 ? "1 event waits" : `${events.toLocaleString("en-US")} events wait`;
}
