import { nodeClock } from "@waybill/node";
import { type Params, SingleBar } from "cli-progress";
import { complain, type Io } from "./io.ts";
import { durationText, numberText, rateText } from "./terminal/units.ts";

export interface ProgressOptions {
  /** What `value` is when all is done; `undefined` when nobody knows, as of standard input. */
  readonly total: number | undefined;
  /** What `count` counts: `events`. */
  readonly unit: string;
}

export interface Progress {
  /** How far it is, in the unit of `total`, and how many were dealt with until now. */
  update(value: number, count: number): void;
  /** One line on standard error, above the bar. */
  tell(message: string): void;
  stop(): void;
}

interface Sample {
  readonly atMs: number;
  readonly value: number;
  readonly count: number;
}

/** The rate is that of the last seconds, so that a change shows. */
const RATE_OVER_MS = 5_000;
const SAMPLE_MS = 250;
const BAR_CHARACTERS = 24;
const MS_PER_S = 1_000;

/** A bar with rate and time left on a terminal's standard error; nothing elsewhere. */
export function createProgress(io: Io, options: ProgressOptions): Progress {
  if (io.err.isTTY !== true)
    return { update: () => undefined, tell: (message) => complain(io, message), stop: () => undefined };
  const { total, unit } = options;
  const samples: Sample[] = [{ atMs: nodeClock.monotonic(), value: 0, count: 0 }];
  let shown = payloadOf(samples, options);
  const bar = new SingleBar({
    stream: io.err,
    format: (_, params, payload: Payload) => lineOf(params, payload, options),
    clearOnComplete: true,
    // Lines are cut at the terminal's width; the terminal's own settings stay as they are.
    linewrap: true,
  });
  const start = (): void => bar.start(total ?? 1, samples.at(-1)?.value ?? 0, shown);
  start();
  return {
    update(value, count) {
      note(samples, { atMs: nodeClock.monotonic(), value, count });
      shown = payloadOf(samples, { total, unit });
      bar.update(value, shown);
    },
    tell(message) {
      // The bar draws over the line that it began on.
      bar.stop();
      complain(io, message);
      start();
    },
    stop: () => bar.stop(),
  };
}

interface Payload {
  readonly count: number;
  /** Per second. */
  readonly rate: number;
  readonly leftS: number | undefined;
}

function note(samples: Sample[], sample: Sample): void {
  const last = samples.at(-1) as Sample;
  // The last one is that of now; those before it are some way apart.
  if (samples.length > 1 && last.atMs - (samples.at(-2) as Sample).atMs < SAMPLE_MS) samples.pop();
  samples.push(sample);
  while (samples.length > 2 && sample.atMs - (samples[1] as Sample).atMs > RATE_OVER_MS) samples.shift();
}

function payloadOf(samples: readonly Sample[], { total }: ProgressOptions): Payload {
  const first = samples[0] as Sample;
  const { atMs, value, count } = samples.at(-1) as Sample;
  const seconds = (atMs - first.atMs) / MS_PER_S;
  const perSecond = (moved: number): number => (seconds === 0 ? 0 : moved / seconds);
  const speed = perSecond(value - first.value);
  const leftS = total === undefined || speed === 0 ? undefined : Math.max(0, total - value) / speed;
  return { count, rate: perSecond(count - first.count), leftS };
}

function lineOf({ progress }: Params, { count, rate, leftS }: Payload, { total, unit }: ProgressOptions): string {
  const done = `${numberText(count)} ${unit}, ${rateText(rate)}/s`;
  if (total === undefined) return done;
  const full = Math.round(progress * BAR_CHARACTERS);
  const bar = "█".repeat(full) + "░".repeat(BAR_CHARACTERS - full);
  const percent = String(Math.floor(progress * 100)).padStart(3);
  return `${bar} ${percent} %  ${done}${leftS === undefined ? "" : `, ${durationText(leftS * MS_PER_S)} left`}`;
}
