/** Single values: what is shown is short, the title has the whole of it. */
import type { JSX } from "preact";
import { useNow } from "../browser/ticks.ts";
import { counted, fullCount, shortBytes, shortCount, shortRate } from "../format/numbers.ts";
import { age, exactUtc, localTime, preciseTime, remaining } from "../format/times.ts";

export function Count({ value, of = "event" }: { readonly value: number; readonly of?: string }): JSX.Element {
  return (
    <span class="number" title={counted(value, of)}>
      {shortCount(value)}
    </span>
  );
}

export function Rate({ value }: { readonly value: number }): JSX.Element {
  return (
    <span class="number" title={`${fullCount(value)} events per second`}>
      {shortRate(value)}
      <span class="unit">/s</span>
    </span>
  );
}

export function Bytes({ value }: { readonly value: number }): JSX.Element {
  return (
    <span class="number" title={counted(value, "byte")}>
      {shortBytes(value)}
    </span>
  );
}

interface InstantProps {
  readonly at: number;
}

export interface TimeProps extends InstantProps {
  /** With milliseconds. */
  readonly isPrecise?: boolean;
}

/** In the reader's zone. */
export function Time({ at, isPrecise = false }: TimeProps): JSX.Element {
  const now = useNow();
  return (
    <time dateTime={exactUtc(at)} title={exactUtc(at)}>
      {isPrecise ? preciseTime(at, now) : localTime(at, now)}
    </time>
  );
}

export function Age({ at }: InstantProps): JSX.Element {
  const now = useNow();
  return (
    <time dateTime={exactUtc(at)} title={exactUtc(at)}>
      {age(at, now)}
    </time>
  );
}

export function Remaining({ at }: InstantProps): JSX.Element {
  const now = useNow();
  return (
    <time dateTime={exactUtc(at)} title={exactUtc(at)}>
      {remaining(at, now)}
    </time>
  );
}
