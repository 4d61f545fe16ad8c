/**
 * A data directory after something damaged it: segments, lane states, dead letters and their marks,
 * attempts, ids, the seed, replays, whatever has which name. A relay starts on it all the same,
 * loses at most the records whose bytes were touched, invents none, delivers what is left and takes
 * more; what looks into a stopped one's files, and repairs them, never fails because of what is in
 * them.
 */
import assert from "node:assert";
import { crc32 } from "node:zlib";
import { type Log, repairLog, verifyLog, walkLog } from "@waybill/log";
import { type SeededRandom, SimDisk } from "@waybill/testing";
import { PATIENCE_MS } from "../delivery.ts";
import { WORDS } from "../dictionary.ts";
import { bytesOf, readRequest, readResponse } from "../http-text.ts";
import { FINE, QUICK, SmallRelay, type SmallRelayOptions } from "../small-relay.ts";
import type { Target } from "../target.ts";

/**
 * One thing that happens to the files; numbers are shares of what there is, so that an input means
 * something whatever a run has written.
 */
interface Damage {
  readonly kind: (typeof KINDS)[number];
  /** Which file. */
  readonly file: number;
  /** Another one, for those that need two. */
  readonly other: number;
  /** Where in it. */
  readonly at: number;
  readonly bytes: string;
}

const KINDS = ["flip", "write", "cut", "extend", "remove", "swap", "copy", "zero", "stray"] as const;
const DAMAGES_MAX = 3;
const DATA = "/data";
const LOG = `${DATA}/log`;
const STRAYS = [
  "log/00000000000000000007.log",
  "log/99999999999999999999.log",
  "log/x.log",
  "log/00000000000000000000.log.repair",
  "lanes/constructor",
  "lanes/__proto__",
  "dead/letter/00000000000000000003.log",
  "dead/letter/marks/00000000000000000002.log",
  "ids/00000000000000008192.ids",
  "ids/.ids",
  "ids/NaN.ids",
  "ids/seed",
  "attempts/letter/9999999999-00000000000000000000.attempts",
  "attempts/letter/x",
  "replays/x",
  "replays/constructor",
];
const LETTERS = `${DATA}/dead/letter`;
const LOGS = [LOG, LETTERS, `${LETTERS}/marks`];
/** So that what is left of a small log is several files. */
const SEGMENT_BYTES = 3_000;
/** More than one file of ids holds, in few requests. */
const REQUESTS = 5;
const EVENTS_PER_REQUEST = 1_700;
const READ_BYTES = 1024 * 1024;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const OPTIONS: SmallRelayOptions = {
  destinations: {
    segment: { vendor: "segment", url: "http://segment.test", writeKey: "k", ...QUICK },
    letter: { vendor: "letter", url: "http://letter.test", writeKey: "k", ...QUICK },
  },
  segmentMaxBytes: SEGMENT_BYTES,
  maxIds: 20_000,
};

export const files: Target = {
  dictionary: WORDS,
  make: (random) =>
    Buffer.from(JSON.stringify(Array.from({ length: 1 + random.below(DAMAGES_MAX) }, () => damageFrom(random)))),
  async open() {
    const base = await wholeDirectory();
    return {
      async run(input) {
        const damages = JSON.parse(input.toString()) as readonly Damage[];
        const damaged = new Map(base.files);
        for (const damage of damages) apply(damaged, damage);
        // Where whole files changed places, or new ones came, nobody can know what is where.
        const isLocal = damages.every(({ kind }) => kind !== "swap" && kind !== "copy" && kind !== "stray");
        const kept = isLocal ? untouched(base, damaged) : undefined;
        const disk = diskOf(damaged);
        for (const directory of LOGS) {
          await verifyLog(directory, disk);
          await repairLog(directory, disk, { dryRun: true });
          // Some operators repair first, some start first.
          if (crc32(input) % 2 === 0) await repairLog(directory, disk, { dryRun: false });
        }
        await liveOn(disk, base, kept);
      },
    };
  },
};

interface StoredRecord {
  readonly log: string;
  readonly path: string;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly first: number;
}

interface Base {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly records: readonly StoredRecord[];
  /** What each event is, by log and position of its record. */
  readonly bodies: ReadonlyMap<string, string>;
  readonly everyBody: ReadonlySet<string>;
}

/**
 * What a relay leaves that was killed: delivered, dead and pending events, marks, a replay that is
 * over and one that is not.
 */
async function wholeDirectory(): Promise<Base> {
  const relay = new SmallRelay(OPTIONS);
  await relay.open();
  const send = async (events: readonly object[]): Promise<void> => {
    const head = "POST /v1/batch\nauthorization: Basic cGxhaW4ta2V5Og==\n\n";
    const request = bytesOf(readRequest(Buffer.from(`${head}${JSON.stringify({ batch: events })}`)));
    assert.equal(readResponse(await relay.exchange(request)).status, 200);
  };
  for (let request = 0; request < REQUESTS; request++)
    await send(
      Array.from({ length: EVENTS_PER_REQUEST }, (_, index) => ({ type: "page", messageId: `i-${request}-${index}` })),
    );
  // Their file of ids stays; they themselves would only make each input slow.
  await relay.drain(PATIENCE_MS);
  await relay.environment.retain(
    { maxAgeMs: DAY_MS, maxBytes: SEGMENT_BYTES, hardMaxBytes: SEGMENT_BYTES },
    relay.clock.now(),
  );
  // Letter refuses each event with this name.
  relay.vendors = ({ url, body }) =>
    url.includes("letter") && body.join("").includes("Bad") ? { status: 400, headers: {}, body: "bad" } : FINE;
  const track = (messageId: string, event: string): object => ({ type: "track", userId: messageId, messageId, event });
  for (let index = 0; index < 30; index++)
    await send([
      track(`g-${index}`, "Good"),
      track(`b-${index}`, "Bad"),
      { type: "track", messageId: null, event: [index] },
    ]);
  await relay.drain(PATIENCE_MS);
  const letters = relay.environment.destination("letter")?.deadLetters;
  await letters?.mark([letters.log.first, letters.log.first + 2], "discarded");
  const replays = relay.environment.replays;
  await replays.begin(
    "letter",
    { deadLetters: { deadLetterIds: [letters?.log.first ?? 0, (letters?.log.first ?? 0) + 3] } },
    undefined,
  );
  await relay.drain(PATIENCE_MS);
  // Nobody answers any more: what comes now waits, and so does the other replay.
  relay.vendors = () => ({ status: 503, headers: {}, body: "" });
  for (let index = 0; index < 5; index++) await send([track(`p-${index}`, "Pending")]);
  await replays.begin("segment", { log: { from: relay.environment.log.head - 20, to: relay.environment.log.head } }, 1);
  await relay.pass(MINUTE_MS);
  await relay.environment.sync();
  return baseOf(relay.disk);
}

async function baseOf(disk: SimDisk): Promise<Base> {
  const records: StoredRecord[] = [];
  const bodies = new Map<string, string>();
  for (const log of LOGS)
    for await (const walked of walkLog(log, disk)) {
      if (walked.kind !== "record") continue;
      const { first, sizeBytes, body } = walked.record;
      records.push({ log, path: `${log}/${walked.segment}`, offset: walked.offset, sizeBytes, first });
      bodies.set(`${log} ${first}`, Buffer.from(body).toString("latin1"));
    }
  return {
    files: new Map(disk.paths().map((path) => [path, disk.contents(path)])),
    records,
    bodies,
    everyBody: new Set(bodies.values()),
  };
}

/** A disk with these files; the directories are those that a relay makes. */
function diskOf(contents: ReadonlyMap<string, Uint8Array>): SimDisk {
  const directories = [
    DATA,
    ...LOGS,
    "lanes",
    "ids",
    "replays",
    "attempts/letter",
    "attempts/segment",
    "dead/segment/marks",
  ];
  const all = directories.map((directory) => (directory.startsWith("/") ? directory : `${DATA}/${directory}`));
  const parents = [...contents.keys()].map((path) => path.slice(0, path.lastIndexOf("/")));
  // Copies: a slice of a buffer would be a view of it.
  const copies = [...contents].map(([path, bytes]) => [path, new Uint8Array(bytes)] as const);
  return SimDisk.of(new Map(copies), [...all, ...parents]);
}

/** Records whose bytes are where they were. */
function untouched({ files: before, records }: Base, after: ReadonlyMap<string, Uint8Array>): readonly StoredRecord[] {
  return records.filter(({ path, offset, sizeBytes }) => {
    const then = before.get(path)?.subarray(offset, offset + sizeBytes);
    const now = after.get(path)?.subarray(offset, offset + sizeBytes);
    return then !== undefined && now !== undefined && Buffer.compare(then, now) === 0;
  });
}

/** Starts on what is there, reads all of it, takes an event, delivers, ends; and once more. */
async function liveOn(disk: SimDisk, base: Base, kept: readonly StoredRecord[] | undefined): Promise<void> {
  const relay = new SmallRelay({ ...OPTIONS, disk });
  await relay.open();
  const { environment } = relay;
  await assertKept(environment.log, LOG, base, kept);
  for (const name of ["segment", "letter"]) {
    const destination = environment.destination(name);
    assert.ok(destination !== undefined);
    for await (const letter of destination.deadLetters.list()) JSON.stringify(letter.reason);
    destination.deadLetters.counts();
    await destination.attempts(environment.log.head - 1);
    if (name === "letter") await assertKept(destination.deadLetters.log, LETTERS, base, kept);
  }
  for (const id of ["g-1", "b-1", "p-1", "i-0-0"]) await environment.trace(id);
  environment.replays.views();
  assert.equal(readResponse(await relay.exchange(HEALTHY)).status, 200);
  await relay.drain(PATIENCE_MS);
  assert.deepEqual(relay.defects, []);
  await environment.retain({ maxAgeMs: 1, maxBytes: 1, hardMaxBytes: READ_BYTES }, relay.clock.now());
  await relay.close();
  await relay.open();
  assert.equal(relay.environment.log.recovery.tornBytes, 0, "the first start has put in order what there was");
  await relay.close();
}

/** What was not touched is read as it was, and nothing else. */
async function assertKept(
  log: Log,
  name: string,
  base: Base,
  kept: readonly StoredRecord[] | undefined,
): Promise<void> {
  const reader = log.reader({ position: log.first });
  const found = new Set<number>();
  for (let read = await reader.read(READ_BYTES); read.length > 0; read = await reader.read(READ_BYTES))
    for (const { first, body } of read) {
      const text = Buffer.from(body).toString("latin1");
      const isOwn = base.bodies.get(`${name} ${first}`) === text;
      // A file that came from elsewhere brings its own records.
      assert.ok(isOwn || (kept === undefined && base.everyBody.has(text)), `${name} invents ${first}: ${text}`);
      found.add(first);
    }
  await reader.close();
  const lost = (kept ?? [])
    .filter((record) => record.log === name && !found.has(record.first))
    .map(({ first }) => first);
  assert.deepEqual(lost, [], `${name} lost records that nothing had touched`);
}

const HEALTHY = bytesOf(
  readRequest(
    Buffer.from(
      'POST /v1/batch\nauthorization: Basic cGxhaW4ta2V5Og==\n\n{"batch":[{"type":"track","userId":"u","event":"After","messageId":"after-damage"}]}',
    ),
  ),
);

function damageFrom(random: SeededRandom): Damage {
  const length = random.below(random.chance(0.5) ? 8 : 400);
  const bytes = Buffer.alloc(length);
  random.fill(bytes);
  const text = random.chance(0.3) ? random.pick(WORDS) : bytes.toString("latin1");
  return {
    kind: random.pick(KINDS),
    file: random.next(),
    other: random.next(),
    // Much of what matters is at the beginning.
    at: random.chance(0.3) ? random.next() * 0.01 : random.next(),
    bytes: Buffer.from(text, "latin1").toString("base64"),
  };
}

function apply(contents: Map<string, Uint8Array>, { kind, file, other, at, bytes: written }: Damage): void {
  const paths = [...contents.keys()].sort();
  const path = paths[Math.floor(file * paths.length)];
  const second = paths[Math.floor(other * paths.length)];
  if (path === undefined || second === undefined) return;
  const before = contents.get(path) as Uint8Array;
  const offset = Math.floor(at * before.length);
  const bytes = Buffer.from(written, "base64");
  const after = Buffer.from(before);
  switch (kind) {
    case "flip":
      if (after.length > 0) after[offset] = (after[offset] as number) ^ (1 << ((bytes[0] ?? 0) % 8));
      contents.set(path, after);
      return;
    case "write":
      bytes.copy(after, offset);
      contents.set(path, after);
      return;
    case "cut":
      contents.set(path, after.subarray(0, offset));
      return;
    case "extend":
      contents.set(path, Buffer.concat([after, bytes]));
      return;
    case "zero":
      contents.set(path, after.fill(0, offset, Math.min(after.length, offset + 4 * bytes.length)));
      return;
    case "remove":
      contents.delete(path);
      return;
    case "swap":
      contents.set(path, contents.get(second) as Uint8Array);
      contents.set(second, before);
      return;
    case "copy":
      contents.set(second, before);
      return;
    default: {
      const name = `${DATA}/${STRAYS[Math.floor(at * STRAYS.length)]}`;
      if (!contents.has(name)) contents.set(name, other < 0.5 ? bytes : before);
    }
  }
}
