/** Pauses of lanes on the disk, over restarts and power cuts. */
import { WaybillError } from "@waybill/core";
import { Environment, resolveEnvironment } from "@waybill/relay/headless";
import { SeededRandom, SegmentEmulator, SimDisk, SimNetwork, VirtualClock } from "@waybill/testing";
import { expect, test } from "vitest";

const DEDUPE = { windowMs: 86_400_000, maxIds: 1_000 };

class World {
  readonly clock = new VirtualClock();
  readonly disk = new SimDisk();
  readonly random = new SeededRandom(3);
  readonly emulator = new SegmentEmulator({ clock: this.clock });
  readonly #network = new SimNetwork({ clock: this.clock, random: this.random, latencyMs: 5 });

  constructor() {
    this.#network.serve("http://emulator.test", this.emulator.handle);
  }

  async start(destinations: readonly string[] = ["a", "b"]): Promise<Environment> {
    const { clock, random, disk } = this;
    const settings = { vendor: "segment", url: "http://emulator.test", writeKey: "k", batch: { linger: 20 } } as const;
    const ignore = (): void => undefined;
    const environment = await Environment.open({
      config: resolveEnvironment("e", {
        sources: {},
        destinations: Object.fromEntries(destinations.map((name) => [name, settings])),
      }),
      directory: "/data",
      runtime: { clock, random, disk, transport: this.#network.transport },
      dedupe: DEDUPE,
      observer: { attempted: ignore, modeChanged: ignore, stateNotWritten: ignore },
    });
    environment.start();
    return environment;
  }

  async append({ log }: Environment, messageId: string): Promise<void> {
    const body = Buffer.from(`{"type":"track","messageId":"${messageId}","userId":"u"}`);
    const ends = Uint32Array.of(body.length);
    await log.append({ source: "s", receivedAtMs: this.clock.now(), metadata: "", body: [body], ends });
    await this.clock.advance(1_000);
  }
}

function modesOf(environment: Environment): readonly unknown[] {
  return ["a", "b"].map((name) => environment.destination(name)?.lane());
}

function accountsOf(environment: Environment): readonly unknown[] {
  return ["a", "b"].map((name) => environment.destination(name)?.account());
}

test("a paused lane is paused after a power cut, too, until it is resumed", async () => {
  const world = new World();
  const first = await world.start();
  expect(await first.setPaused("a", true)).toBe(true);
  // Twice, as by two people.
  expect(await first.setPaused("a", true)).toBe(true);
  world.disk.crash(world.random);
  const second = await world.start();
  expect(modesOf(second)).toMatchObject([{ mode: "paused", reason: "paused by an operator" }, { mode: "idle" }]);
  await world.append(second, "m-1");
  expect(accountsOf(second)).toMatchObject([{ pending: 1 }, { delivered: 1 }]);
  expect(await second.setPaused("a", false)).toBe(true);
  world.disk.crash(world.random);
  const third = await world.start();
  await world.clock.advance(1_000);
  expect(modesOf(third)).toMatchObject([{ mode: "idle" }, { mode: "idle" }]);
  expect(accountsOf(third)).toMatchObject([{ delivered: 1 }, { delivered: 1 }]);
});

test("a pause outlasts the removal of its destination", async () => {
  const world = new World();
  const first = await world.start();
  await first.setPaused("a", true);
  world.disk.killProcess();
  const second = await world.start(["b"]);
  expect(await second.setPaused("a", false)).toBe(false);
  world.disk.killProcess();
  expect(modesOf(await world.start())).toMatchObject([{ mode: "paused" }, { mode: "idle" }]);
});

test.each(["open", "syncDirectory"] as const)(
  "where the disk fails (%s), a pause holds now, and says so",
  async (operation) => {
    const world = new World();
    const environment = await world.start();
    world.disk.onOperation = (what, path) => {
      if (what === operation && path.startsWith("/data/paused")) throw new WaybillError("WAYBILL_DISK", "no space");
    };
    await expect(environment.setPaused("a", true)).rejects.toMatchObject({ code: "WAYBILL_DISK" });
    expect(modesOf(environment)).toMatchObject([{ mode: "paused" }, { mode: "idle" }]);
    world.disk.onOperation = undefined;
    await environment.setPaused("a", true);
    world.disk.crash(world.random);
    expect(modesOf(await world.start())).toMatchObject([{ mode: "paused" }, { mode: "idle" }]);
  },
);
