import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "@waybill/testing";
import { pause } from "./load.ts";
import { cutPower, freeze, makeExt4, mountImage, mountMemory, unmount } from "./mounts.ts";
import { Scene, type Tally } from "./scene.ts";

const SMALL_DISK_BYTES = 12 * 1024 * 1024;
const BALLAST_BYTES = 6 * 1024 * 1024;
const HOST_BYTES = 96 * 1024 * 1024;
const HOST_BALLAST_BYTES = 64 * 1024 * 1024;
const IMAGE_BYTES = 300 * 1024 * 1024;
const LIFE_MIN_MS = 200;
const LIFE_MAX_MS = 900;
const FULL_FOR_MS = 1_000;
const HUNG_FOR_MS = 1_500;
const POLL_MS = 5;
const GIVE_UP_MS = 60_000;

export interface FullDiskResult extends Tally {
  /** Requests answered with 503. */
  readonly refused: number;
  /** Whether /ready said so while the disk was full. */
  readonly notReadyWhileFull: boolean;
  /** From the moment there was room until the next 2xx. */
  readonly resumedAfterMs: number;
}

/** A disk that fills up under load: 503 until there is room, then on by itself. */
export async function runFullDisk(seed: number): Promise<FullDiskResult> {
  const scene = await Scene.open();
  const data = join(scene.directory, "data");
  mountMemory(data, SMALL_DISK_BYTES);
  const ballast = join(data, "ballast");
  writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES));
  await scene.start();
  const { notReady, resumedAfterMs } = await failAndHeal(scene, seed, () => rmSync(ballast));
  const tally = await scene.finish();
  unmount(data);
  scene.clear(tally);
  return { ...tally, refused: scene.answers.get(503) ?? 0, notReadyWhileFull: notReady, resumedAfterMs };
}

export interface PowerCutsResult extends Tally {
  readonly powerCuts: number;
  /** Events that were stored although their sender got no acknowledgement. */
  readonly unacknowledgedKept: number;
}

/**
 * The power fails under load: what was not synced is gone, then the relay starts on what is left.
 */
export async function runPowerCuts(powerCuts: number, seed: number): Promise<PowerCutsResult> {
  const random = new SeededRandom(seed);
  const scene = await Scene.open();
  const data = join(scene.directory, "data");
  const image = join(scene.directory, "disk.img");
  makeExt4(image, IMAGE_BYTES, { journal: true });
  mountImage(image, data);
  await scene.start();
  scene.load(random);
  for (let cut = 0; cut < powerCuts; cut++) {
    await pause(LIFE_MIN_MS + random.next() * (LIFE_MAX_MS - LIFE_MIN_MS));
    // With the power the process stops too. It must not go on even for an instant: the kernel's
    // shutdown of a file system races with a sync on its way, which may then succeed without having
    // been done (seen with a bare O_DSYNC loop as well), and be acknowledged after the cut.
    scene.relay.process.kill("SIGSTOP");
    cutPower(data);
    await scene.relay.stop("SIGKILL");
    unmount(data);
    mountImage(image, data);
    await scene.start();
  }
  await pause(LIFE_MIN_MS);
  const tally = await scene.finish();
  unmount(data);
  scene.clear(tally);
  const { acknowledged, delivered, lost } = tally;
  const unacknowledgedKept = delivered - (acknowledged - lost);
  return { powerCuts, ...tally, unacknowledgedKept };
}

export interface HungDiskResult extends Tally {
  readonly hungForMs: number;
  /** Requests acknowledged while nothing could be written. */
  readonly acknowledgedWhileHung: number;
  readonly resumedAfterMs: number;
}

/** A disk that answers nothing for a while: requests wait, none is acknowledged, then all go on. */
export async function runHungDisk(seed: number): Promise<HungDiskResult> {
  const scene = await Scene.open();
  const data = join(scene.directory, "data");
  const image = join(scene.directory, "disk.img");
  makeExt4(image, IMAGE_BYTES, { journal: true });
  mountImage(image, data);
  await scene.start();
  scene.load(new SeededRandom(seed));
  await pause(LIFE_MIN_MS);
  freeze(data, true);
  // What was on its way when the disk stopped has been written.
  await pause(HUNG_FOR_MS / 5);
  const before = scene.answers.get(200) ?? 0;
  await pause(HUNG_FOR_MS);
  const acknowledgedWhileHung = (scene.answers.get(200) ?? 0) - before;
  freeze(data, false);
  const thawedAt = performance.now();
  await until(() => (scene.answers.get(200) ?? 0) > before);
  const resumedAfterMs = Math.round(performance.now() - thawedAt);
  await pause(LIFE_MIN_MS);
  const tally = await scene.finish();
  unmount(data);
  scene.clear(tally);
  return { ...tally, hungForMs: HUNG_FOR_MS, acknowledgedWhileHung, resumedAfterMs };
}

export interface FailingFsyncResult extends Tally {
  readonly refused: number;
  readonly notReadyWhileFailing: boolean;
  readonly resumedAfterMs: number;
}

/**
 * A disk whose syncs fail with EIO: a file system in an image on one that is full, so that writing
 * into it works and syncing does not. What was written before a failed sync is lost to the page
 * cache; the relay must neither acknowledge it nor build on it.
 */
export async function runFailingFsync(seed: number): Promise<FailingFsyncResult> {
  const scene = await Scene.open();
  const host = join(scene.directory, "host");
  const data = join(scene.directory, "data");
  mountMemory(host, HOST_BYTES);
  const image = join(host, "disk.img");
  makeExt4(image, IMAGE_BYTES, { journal: false });
  mountImage(image, data);
  const ballast = join(host, "ballast");
  writeFileSync(ballast, Buffer.alloc(HOST_BALLAST_BYTES));
  await scene.start();
  const { notReady, resumedAfterMs } = await failAndHeal(scene, seed, () => rmSync(ballast));
  await pause(LIFE_MIN_MS);
  const tally = await scene.finish();
  unmount(data);
  unmount(host);
  scene.clear(tally);
  return { ...tally, refused: scene.answers.get(503) ?? 0, notReadyWhileFailing: notReady, resumedAfterMs };
}

/** Loads until requests are refused, looks at /ready, heals the disk, waits for the next 2xx. */
async function failAndHeal(
  scene: Scene,
  seed: number,
  heal: () => void,
): Promise<{ readonly notReady: boolean; readonly resumedAfterMs: number }> {
  scene.load(new SeededRandom(seed));
  await until(() => (scene.answers.get(503) ?? 0) > 0);
  const notReady = await saysNotReady(scene);
  const accepted = scene.answers.get(200) ?? 0;
  heal();
  const healedAt = performance.now();
  await until(() => (scene.answers.get(200) ?? 0) > accepted);
  return { notReady, resumedAfterMs: Math.round(performance.now() - healedAt) };
}

/**
 * Whether /ready is red at some time of a second: a small request may still find room now and then.
 */
async function saysNotReady({ relay }: Scene): Promise<boolean> {
  let red = false;
  const deadline = performance.now() + FULL_FOR_MS;
  while (performance.now() < deadline) {
    red ||= (await fetch(`${relay.adminUrl}/ready`)).status === 503;
    await pause(POLL_MS);
  }
  return red;
}

async function until(done: () => boolean): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS;
  while (!done()) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${GIVE_UP_MS} ms`);
    await pause(POLL_MS);
  }
}
