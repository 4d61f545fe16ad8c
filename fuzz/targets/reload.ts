/**
 * Plans that a running relay is to follow: read from text that somebody damaged, or changed into
 * another valid plan. One that is refused changes nothing; after one that is taken the lanes are
 * those of the plan; and the first plan can always be had back, and serves.
 */
import assert from "node:assert";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type DiskRuntime, WaybillError } from "@waybill/core";
import { nodeRuntime } from "@waybill/node";
import {
  ConfigError,
  type Logger,
  loadConfig,
  type RelayConfig,
  type ReloadResult,
  type RunningRelay,
  startRelay,
} from "@waybill/relay";
import { type SeededRandom, SimDisk } from "@waybill/testing";
import { mutate } from "../mutate.ts";
import { mutateJson } from "../mutate-json.ts";
import { FINE } from "../small-relay.ts";
import type { Target } from "../target.ts";
import { config } from "./config.ts";

/** Each brings files that stay. */
const INPUTS_PER_RELAY = 100;
const EDITS_MAX = 3;
const NAMES = ["a", "b", "web", "warehouse", "hook", "disk", "constructor", "toString", "x-1"];
const KEY = "key-of-the-first-plan";

type Plain = Record<string, unknown>;

export const reload: Target = {
  dictionary: config.dictionary,
  make(random, seeds) {
    const roll = random.next();
    if (roll < 0.1) return mutate(random, seeds, config.dictionary);
    if (roll < 0.3) return Buffer.from(mutateJson(random, seeds.map(String)));
    return Buffer.from(JSON.stringify(edited(random, seeds)));
  },
  async open() {
    let world = await World.start();
    let inputs = 0;
    return {
      async run(input) {
        await world.follow(input.toString());
        inputs += 1;
        if (inputs % INPUTS_PER_RELAY !== 0) return;
        await world.stop();
        world = await World.start();
      },
      close: () => world.stop(),
    };
  },
};

/**
 * Another plan, as an operator writes it: things added, left out, renamed, with settings of others.
 */
function edited(random: SeededRandom, seeds: readonly Buffer[]): Plain {
  const plans = seeds.map((seed) => JSON.parse(seed.toString()) as Plain);
  const plan = structuredClone(random.pick(plans));
  for (let left = 1 + random.below(EDITS_MAX); left > 0; left--) {
    const environments = plan["environments"] as Record<string, Record<string, Record<string, Plain>>>;
    const environment = environments[random.pick(Object.keys(environments))];
    const part = environment?.[random.pick(["sources", "destinations"])];
    const names = Object.keys(part ?? {});
    if (part === undefined || names.length === 0) continue;
    const name = random.pick(names);
    const one = part[name] as Plain;
    switch (random.below(6)) {
      case 0:
        delete part[name];
        break;
      case 1:
        part[random.pick(NAMES)] = structuredClone(one);
        break;
      case 2:
        delete part[name];
        part[random.pick(NAMES)] = one;
        break;
      case 3:
        environments[random.pick(NAMES)] = structuredClone(environment as Record<string, Record<string, Plain>>);
        break;
      case 4:
        Object.assign(one, part[random.pick(names)]);
        break;
      default:
        for (const key of Object.keys(one)) if (random.chance(0.3)) delete one[key];
    }
  }
  return plan;
}

class World {
  readonly #relay: RunningRelay;
  readonly #directory: string;
  readonly #first: RelayConfig;
  /** Whatever a plan names as a file is none of this machine's. */
  readonly #disk: SimDisk;
  readonly #seen: Set<string>;
  #sent = 0;

  private constructor(
    relay: RunningRelay,
    parts: {
      readonly directory: string;
      readonly first: RelayConfig;
      readonly disk: SimDisk;
      readonly seen: Set<string>;
    },
  ) {
    this.#relay = relay;
    this.#directory = parts.directory;
    this.#first = parts.first;
    this.#disk = parts.disk;
    this.#seen = parts.seen;
  }

  static async start(): Promise<World> {
    const directory = mkdtempSync(join(tmpdir(), "waybill-fuzz-"));
    // For the lock, which no simulated disk can hold.
    mkdirSync(`${directory}/data`);
    const seen = new Set<string>();
    const disk = new SimDisk();
    const runtime: DiskRuntime = {
      ...nodeRuntime({
        transport: async (request) => {
          const text = Buffer.concat(request.body.map((chunk) => Buffer.from(chunk as string))).toString();
          if (request.url.startsWith("http://first.test/"))
            for (const [, id] of text.matchAll(/"messageId":"(first-\d+)"/g)) seen.add(id as string);
          return FINE;
        },
      }),
      disk,
    };
    const ignore = (): void => undefined;
    const logger = { info: ignore, warn: ignore, debug: ignore, error: ignore } as unknown as Logger;
    const first = planOf(FIRST, directory) as RelayConfig;
    return new World(await startRelay(first, { logger, runtime }), { directory, first, disk, seen });
  }

  async follow(text: string): Promise<void> {
    const plan = planOf(text, this.#directory);
    if (plan !== undefined) {
      const before = this.#lanes();
      const { ok, errors } = await this.#reload(plan, crc32(text) % 4 === 0);
      assert.equal(errors.length === 0, ok, "a refusal has its reasons");
      const wanted = plan.environments.flatMap(({ name, destinations }) =>
        destinations.map((destination) => `${name}/${destination.name}`),
      );
      assert.deepEqual(
        this.#lanes(),
        ok ? wanted.sort() : before,
        ok ? "the lanes of the plan" : "nothing has changed",
      );
      const back = ok ? await this.#relay.reload(this.#first) : { ok: true, errors: [] };
      assert.deepEqual(back.errors, [], "the first plan can be had back");
    }
    await this.#serves();
  }

  async stop(): Promise<void> {
    await this.#relay.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** A disk that fails while the plan is followed is a reason to refuse it. */
  async #reload(plan: RelayConfig, diskFails: boolean): Promise<Pick<ReloadResult, "ok" | "errors">> {
    if (diskFails) this.#disk.failNext("open", "EIO");
    try {
      return await this.#relay.reload(plan);
    } catch (error) {
      if (!(error instanceof WaybillError)) throw error;
      return { ok: false, errors: [error.message] };
    } finally {
      // Nothing may have been opened.
      await this.#disk.open("/none").catch(() => undefined);
    }
  }

  #lanes(): readonly string[] {
    return this.#relay
      .accounts()
      .lanes.map(({ environment, destination }) => `${environment}/${destination}`)
      .sort();
  }

  /** An event is taken, and arrives. */
  async #serves(): Promise<void> {
    this.#sent += 1;
    const id = `first-${this.#sent}`;
    const body = JSON.stringify({ type: "track", userId: "u", event: "E", messageId: id });
    assert.equal(await post(`${this.#relay.intakeUrl}/v1/track`, body), 200);
    for (const endsAtMs = performance.now() + 5_000; !this.#seen.has(id); ) {
      assert.ok(performance.now() < endsAtMs, "what is taken arrives");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.#seen.clear();
  }
}

const FIRST = JSON.stringify({
  environments: {
    production: {
      sources: { web: { protocol: "segment", writeKeys: [KEY] } },
      destinations: {
        first: { vendor: "segment", writeKey: "k", url: "http://first.test", batch: { linger: "0ms" } },
        disk: { vendor: "file", path: "/files/events.ndjson" },
      },
    },
  },
});

/**
 * `undefined` when it is refused. Where the relay listens and keeps its files is not the text's to
 * say, nor whether flags come from a network.
 */
function planOf(text: string, directory: string): RelayConfig | undefined {
  try {
    const plan = loadConfig({ file: "fuzz", text, env: { KEY: "k" } });
    return {
      ...plan,
      dedupe: { windowMs: 60_000, maxIds: 1_000 },
      listen: { host: "127.0.0.1", port: 0 },
      admin: { ...plan.admin, host: "127.0.0.1", port: 0 },
      dataDirectory: `${directory}/data`,
      environments: plan.environments.map((environment) => ({
        ...environment,
        destinations: environment.destinations.map((destination) => ({ ...destination, flagsFromVendor: false })),
      })),
    };
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

const agent = new http.Agent({ keepAlive: true });

function post(url: string, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Basic ${btoa(`${KEY}:`)}`, "content-length": Buffer.byteLength(body) };
    const outgoing = http.request(url, { method: "POST", agent, headers }, (incoming) => {
      incoming.resume();
      incoming.on("end", () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
