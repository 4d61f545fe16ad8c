/**
 * What the relay serves: its configuration, the environments that are open for it, and the keys of
 * now.
 *
 * It changes by a reload or a rotation, one after another. Each makes everything ready first (files
 * read, directories and logs opened, senders made); when a part of that fails, what was made ready
 * is closed and the plan before goes on untouched, its keys too. Then all is switched at once,
 * within one turn of the event loop.
 */
import { messageOf, WaybillError } from "@waybill/core";
import { ReadMemory } from "@waybill/log";
import type { EnvironmentView, ReloadResult, RotationView } from "./admin/views.ts";
import { Cleanup } from "./cleanup.ts";
import type { CarryOut, ClusterControl } from "./cluster/cluster-control.ts";
import type { Confirmation } from "./cluster/confirmations.ts";
import type { RelayDirectory } from "./cluster/relay-directory.ts";
import { reportedConfigOf } from "./cluster/reported-config.ts";
import { changedSettings } from "./config/settings.ts";
import type { RelayConfig } from "./config/types.ts";
import { Credentials, ownerOf, type RotationNote } from "./credentials/credentials.ts";
import type { KeptRotation } from "./credentials/kept-rotations.ts";
import { RotationStore } from "./credentials/rotation-store.ts";
import type { DestinationObserver } from "./delivery/destination-observer.ts";
import type { PreparedPlan } from "./delivery/destination-plan.ts";
import type { Environment } from "./environment.ts";
import { EnvironmentOpener, type OpenerSettings } from "./environment-opener.ts";
import type { Pool } from "./intake/shares.ts";
import { SourceTable } from "./intake/sources.ts";
import { safeError } from "./log-lines/safe-text.ts";
import type { OpenEnvironment } from "./open-environment.ts";
import { removal, sourceChanges } from "./plan-changes.ts";

export interface PlanOptions extends OpenerSettings {
  readonly attempted: DestinationObserver["attempted"];
  /** Where sources have their shares of what bodies may hold. */
  readonly bodies: Pool;
  /** Reads this relay's configuration anew and takes it over. Never rejects. */
  readonly reload: () => Promise<ReloadResult>;
  /** Aborted when the relay stops: nothing changes any more. */
  readonly stopping: AbortSignal;
  /** The plan has changed: sources, and settings of the relay as a whole. Must not throw. */
  readonly onSwitched: (config: RelayConfig, before: RelayConfig) => void;
}

/** How a reload went. */
export interface LastReload {
  /** Epoch ms. */
  readonly at: number;
  readonly ok: boolean;
  /** What has changed, or why nothing has. */
  readonly messages: readonly string[];
}

export class Plan {
  readonly #options: PlanOptions;
  readonly #environments = new Map<string, OpenEnvironment>();
  readonly #opener: EnvironmentOpener;
  #config: RelayConfig;
  #credentials = new Credentials();
  readonly #memory = new ReadMemory();
  readonly #rotations: RotationStore;
  #lastReload: LastReload | undefined;
  #loadedAt: number;
  /** Changes, one after another. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(config: RelayConfig, options: PlanOptions) {
    this.#options = options;
    this.#config = config;
    this.#loadedAt = options.runtime.clock.now();
    this.#rotations = new RotationStore(options.runtime.disk, config.dataDirectory);
    this.#opener = new EnvironmentOpener({ ...options, memory: this.#memory, observer: this.#observer() });
  }

  get config(): RelayConfig {
    return this.#config;
  }

  /** By name. */
  get opened(): ReadonlyMap<string, OpenEnvironment> {
    return this.#environments;
  }

  /** What delivers here, by name: environments, or the partitions of those that are on Kafka. */
  get environments(): ReadonlyMap<string, Environment> {
    const shards = [...this.#environments.values()].flatMap((environment) => environment.shards);
    return new Map(shards.map((shard) => [shard.name, shard]));
  }

  /** What is asked of all relays before a cluster. Absent: the log is on the disk. */
  get control(): ClusterControl | undefined {
    return this.#opener.control;
  }

  /** The relays before the cluster. Absent: the log is on the disk. */
  get directory(): RelayDirectory | undefined {
    return this.control?.directory;
  }

  /** Bytes of the log that the lanes hold in memory. */
  get readAheadBytes(): number {
    return this.#memory.held;
  }

  /** Resolves when no change is under way. */
  get settled(): Promise<unknown> {
    return this.#changing;
  }

  /**
   * Opens what the first configuration has, with the keys of rotations that were kept. Nothing is
   * sent before {@link start}.
   */
  async open(): Promise<void> {
    this.#warn(this.#config);
    const control = await this.#opener.openControl(this.#config, this.#carryOut());
    this.#credentials = new Credentials(control?.takeRotations() ?? (await this.#keptRotations()));
    const notes = this.#credentials.configure(this.#config.environments, this.#now());
    await this.#tell(notes);
    for (const environment of this.#config.environments) {
      const applied = this.#credentials.applied(environment, this.#now());
      this.#environments.set(environment.name, await this.#opener.open(applied, this.#config));
    }
  }

  async #keptRotations(): Promise<readonly KeptRotation[]> {
    const { rotations, warning } = await this.#rotations.read();
    if (warning !== undefined) this.#options.log.write("rotations_unreadable", { text: warning });
    return rotations;
  }

  /** What this relay does when it reads what was asked of all. */
  #carryOut(): CarryOut {
    const opened = (): readonly OpenEnvironment[] => [...this.#environments.values()];
    return {
      steer: ({ environment, destination }) => this.#environments.get(environment)?.steer?.(destination),
      replay: (environment) => this.#environments.get(environment)?.replaysChanged?.(),
      adopt: (rotation) =>
        this.#serially(async () => {
          const credentials = this.#credentials.copy();
          const notes = credentials.adopt([rotation], this.#config.environments, this.#now());
          await this.#apply(credentials);
          await this.#tell(notes.filter(({ keySet }) => keySet === rotation.keySet));
        }),
      reload: this.#options.reload,
      lanes: () => opened().flatMap((environment) => environment.laneEntries?.() ?? []),
      faults: () => opened().flatMap((environment) => environment.faults?.() ?? []),
      config: () => reportedConfigOf(this.#config),
    };
  }

  async start(): Promise<void> {
    await this.control?.start();
    for (const environment of this.#environments.values()) environment.start();
  }

  /** Takes over what `read` gives, as a whole or not at all. Never rejects. */
  reload(read: () => RelayConfig | Promise<RelayConfig>): Promise<ReloadResult> {
    return this.#serially(async () => {
      const result = await this.#tryReload(read);
      const { ok, changed, errors } = result;
      this.#lastReload = { at: this.#now(), ok, messages: ok ? changed : errors };
      if (ok) this.#loadedAt = this.#lastReload.at;
      else this.#options.log.write("reload_failed", { errors });
      return result;
    });
  }

  /** When the configuration in force was read, epoch ms. */
  get loadedAt(): number {
    return this.#loadedAt;
  }

  /** The last attempt, since the process started. */
  get lastReload(): LastReload | undefined {
    return this.#lastReload;
  }

  async #tryReload(read: () => RelayConfig | Promise<RelayConfig>): Promise<ReloadResult> {
    try {
      return await this.#reload(await read());
    } catch (error) {
      return { ok: false, changed: [], errors: messageOf(error).split("\n") };
    }
  }

  /**
   * Makes `key` the one in use of a key set; the others stay valid for the grace. It is kept before
   * it holds. `undefined` when there is no such key set.
   *
   * **Errors**: `WAYBILL_INPUT`, `WAYBILL_CONFIG`; then nothing has changed. `WAYBILL_DISK`,
   * `WAYBILL_CLOSED`: nothing has changed now, but it may hold from the next start on.
   * `WAYBILL_LOG_UNAVAILABLE`: it may hold soon.
   */
  async rotate(keySet: string, key: string, graceMs: number): Promise<Confirmation | undefined> {
    this.control?.checkSealing();
    const rotation = await this.#serially(() => this.#rotate(keySet, key, graceMs));
    if (rotation === undefined) return undefined;
    const confirmation = (await this.control?.rotate(rotation)) ?? { unconfirmed: [] };
    this.#options.log.write("key_rotated", { ...ownerOf(keySet), graceMs });
    return confirmation;
  }

  /** In a cluster it is tried out, and holds once it was read from there. */
  async #rotate(keySet: string, key: string, graceMs: number): Promise<KeptRotation | undefined> {
    const credentials = this.#credentials.copy();
    const rotation = credentials.rotate(keySet, key, graceMs, this.#now());
    if (rotation === "unknown key set") return undefined;
    if (rotation === "key of another source")
      throw new WaybillError("WAYBILL_INPUT", "That is a key of another source; a key names one source.");
    if (rotation === "too many keys")
      throw new WaybillError(
        "WAYBILL_INPUT",
        "Too many keys are valid already; some must come to the end of their grace.",
      );
    const prepared = await this.#prepare(this.#config, credentials);
    const rotations = credentials.rotations(this.#now());
    try {
      if (this.control === undefined) await this.#rotations.write(rotations);
    } catch (error) {
      await prepared.discard();
      throw error;
    }
    if (this.control === undefined) await this.#switch({ config: this.#config, credentials, prepared });
    else await prepared.discard();
    return rotations.find((kept) => kept.keySet === keySet);
  }

  sourceTable(before: SourceTable | undefined): SourceTable {
    const { clock } = this.#options.runtime;
    return new SourceTable(
      this.#config.environments.map((environment) => ({
        environment: (this.#environments.get(environment.name) as OpenEnvironment).source,
        sources: this.#credentials.applied(environment, clock.now()).sources,
      })),
      clock,
      before,
      this.#options.bodies,
    );
  }

  /** Without keys: only how many are valid. */
  views(): readonly EnvironmentView[] {
    return this.#config.environments
      .map((environment) => this.#credentials.applied(environment, this.#now()))
      .map(({ name, sources, destinations }) => ({
        environment: name,
        sources: sources.map(({ name: source, protocol, keys }) => ({ source, protocol, keys: keys.length })),
        destinations: destinations.map(({ name: destination, vendor }) => ({ destination, vendor })),
      }));
  }

  /** Without keys. */
  rotationViews(): readonly RotationView[] {
    return this.#credentials.rotationViews();
  }

  async #reload(config: RelayConfig): Promise<ReloadResult> {
    const errors = changedSettings(this.#config, config, "restart").map(
      (name) => `${name} changed; that takes a restart. Nothing was reloaded.`,
    );
    if (errors.length > 0) return { ok: false, changed: [], errors };
    const before = this.#config;
    const settings = changedSettings(before, config, "reload").map((name) => `${name} changed`);
    const credentials = this.#credentials.copy();
    // One that gave way to this file holds again beside a file that has not heard of it.
    const notes = credentials.adopt(this.control?.rotations ?? [], config.environments, this.#now());
    const useKafkaTls = await this.#opener.readKafkaTls(config);
    const prepared = await this.#prepare(config, credentials);
    const changed = [...settings, ...sourceChanges(before, config), ...prepared.changed];
    await this.#switch({ config, credentials, prepared });
    useKafkaTls();
    prepared.report();
    this.#warn(config);
    this.#options.log.write("reloaded", { changed });
    await this.#tell(notes);
    const rotations = notes.map(({ text }) => text);
    return { ok: true, changed, errors: [], ...(rotations.length === 0 ? {} : { rotations }) };
  }

  #warn({ warnings = [] }: RelayConfig): void {
    for (const text of warnings) this.#options.log.write("config_warning", { text });
  }

  /** Which of file and rotation wins; a rotation that is over is kept no longer. */
  async #tell(notes: readonly RotationNote[]): Promise<void> {
    const { log } = this.#options;
    for (const { holds, text } of notes) log.write(holds ? "rotation_kept" : "rotation_over", { text });
    if (this.control !== undefined || notes.every(({ holds }) => holds)) return;
    try {
      await this.#rotations.write(this.#credentials.rotations(this.#now()));
    } catch (error) {
      // The next start comes to the same end by the same file.
      log.write("rotation_not_written", { error: safeError(error) });
    }
  }

  /** The same configuration with other keys. */
  async #apply(credentials: Credentials): Promise<void> {
    const config = this.#config;
    await this.#switch({ config, credentials, prepared: await this.#prepare(config, credentials) });
  }

  /** Everything that can fail. **Errors**: then nothing has changed. */
  #prepare(config: RelayConfig, credentials: Credentials): Promise<PreparedPlan> {
    return Cleanup.around(async (cleanup) => {
      const parts: PreparedPlan[] = [];
      const opened: OpenEnvironment[] = [];
      for (const wanted of config.environments) {
        const applied = credentials.applied(wanted, this.#now());
        const present = this.#environments.get(wanted.name);
        if (present === undefined) {
          const environment = await this.#opener.open(applied, config);
          cleanup.add(() => environment.close(0));
          opened.push(environment);
        } else {
          const part = await present.prepare(applied);
          cleanup.add(part.discard);
          parts.push(part);
        }
        this.#refuseWhenStopping();
      }
      const names = new Set(config.environments.map(({ name }) => name));
      const removed = [...this.#environments.values()].filter(({ name }) => !names.has(name));
      const gone = removed.map((environment) => ({ ...removal(environment), environment }));
      return {
        changed: [
          ...parts.flatMap((part) => part.changed),
          ...opened.map(({ name }) => `${name} added`),
          ...gone.map(({ text }) => text),
        ],
        report: () => {
          for (const part of parts) part.report();
          for (const { environment, text, waiting } of gone)
            if (waiting.waitingEvents > 0)
              this.#options.log.write("environment_removed", { environment: environment.name, ...waiting, text });
        },
        commit: async (deadlineMs) => {
          for (const { name } of removed) this.#environments.delete(name);
          for (const environment of opened) {
            this.#environments.set(environment.name, environment);
            environment.start();
          }
          const closing = [
            ...parts.map((part) => part.commit(deadlineMs)),
            ...removed.map((environment) => environment.close(deadlineMs)),
          ];
          for (const result of await Promise.allSettled(closing))
            if (result.status === "rejected")
              this.#options.log.write("removed_not_closed", { error: safeError(result.reason) });
        },
        discard: () => cleanup.run(),
      };
    });
  }

  async #switch(next: {
    readonly config: RelayConfig;
    readonly credentials: Credentials;
    readonly prepared: PreparedPlan;
  }): Promise<void> {
    const { config, credentials, prepared } = next;
    if (this.#options.stopping.aborted) await prepared.discard();
    this.#refuseWhenStopping();
    const before = this.#config;
    this.#config = config;
    this.#credentials = credentials;
    const committed = prepared.commit(config.shutdownDeadlineMs);
    this.#options.onSwitched(config, before);
    await committed;
  }

  #refuseWhenStopping(): void {
    if (this.#options.stopping.aborted) throw new WaybillError("WAYBILL_CLOSED", "The relay is stopping.");
  }

  #serially<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#changing.then(change);
    this.#changing = changed.catch(() => undefined);
    return changed;
  }

  #now(): number {
    return this.#options.runtime.clock.now();
  }

  /** When all environments are closed. */
  async close(): Promise<void> {
    await this.#opener.close();
  }

  #observer(): DestinationObserver {
    const { log, attempted } = this.#options;
    return {
      attempted: (of) => {
        attempted(of);
        log.attempted(of);
      },
      modeChanged: (of) => {
        log.mode(of);
        if (of.mode === "halted" && of.unanswered !== true) this.#refused(of.environment, of.destination);
      },
      rejected: (of) => log.deadLetter(of),
      expired: (of) => log.expired(of),
      skipped: (of) => log.write("cursor_moved", { ...of, by: "admin" }),
      stateNotWritten: (of) => log.cursorNotWritten(of),
    };
  }

  /** A key that is valid beside the refused one is used instead. */
  #refused(of: string, destination: string): void {
    // A partition has the keys of its environment.
    const [environment = of] = of.split("/");
    if (!this.#credentials.refused(environment, destination, this.#now())) return;
    this.#options.log.write("key_refused", { environment, destination });
    this.#serially(() => this.#apply(this.#credentials)).catch((error: unknown) =>
      this.#options.log.write("key_not_applied", { error: safeError(error) }),
    );
  }
}
