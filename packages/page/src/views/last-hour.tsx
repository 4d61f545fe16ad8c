/** The last hour of an environment as charts, of all destinations or of one. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { useAnswer } from "../api/use-answer.ts";
import { every } from "../browser/clock.ts";
import { shortRate } from "../format/numbers.ts";
import { duration } from "../format/times.ts";
import { type Hour, hourOf } from "../model/history.ts";
import { setFilters, useRoute } from "../router/navigation.tsx";
import { Chart } from "../ui/chart.tsx";
import { Choice, FilterField } from "../ui/fields.tsx";
import { Empty, Failure, Loading } from "../ui/notes.tsx";

/** The relay keeps a sample for each ten seconds. */
const RELOAD_MS = 10_000;
/** More are found by their name. */
const CHOICES_MAX = 60;
const perSecond = (value: number): string => `${shortRate(value)}/s`;

export interface LastHourProps {
  readonly environment: string;
  readonly destinations: readonly string[];
  /** Otherwise it is loaded when the reader opens it. */
  readonly isOpen: boolean;
}

export function LastHour({ environment, destinations, isOpen }: LastHourProps): JSX.Element {
  const route = useRoute();
  const [isShown, setIsShown] = useState(isOpen);
  const { chart = "" } = route.query;
  const chosen = destinations.includes(chart) ? chart : "";
  return (
    <details class="hour" open={isShown} onToggle={(event) => setIsShown(event.currentTarget.open)}>
      <summary>
        <h3>The last hour</h3>
      </summary>
      {destinations.length > CHOICES_MAX ? (
        <FilterField
          label="Delivered, failed attempts and latency of the destination"
          type="search"
          placeholder="all"
          value={chart}
          onChange={(next) => setFilters({ chart: next })}
        />
      ) : (
        <Choice
          label="Delivered, failed attempts and latency of"
          value={chosen}
          options={[["", "all destinations"], ...destinations.map((name) => [name, name] as const)]}
          onChange={(next) => setFilters({ chart: next })}
        />
      )}
      {isShown ? <Charts environment={environment} destination={chosen} any={destinations[0] ?? ""} /> : null}
    </details>
  );
}

export interface ChartsProps {
  readonly environment: string;
  /** Empty: all of them. */
  readonly destination: string;
  /** Any destination: the totals come with it, without the columns of a thousand others. */
  readonly any: string;
}

export function Charts({ environment, destination, any }: ChartsProps): JSX.Element {
  const query = { environment, destination: destination === "" ? any : destination };
  const answer = useAnswer(`${query.environment}\n${query.destination}`, (signal) =>
    call("showHistory", { query, signal }),
  );
  const { value, error, again } = answer;
  useEffect(() => {
    const timer = every(RELOAD_MS, () => {
      if (document.visibilityState === "visible") again();
    });
    return () => timer.cancel();
  }, [again]);
  const hour = value === undefined ? undefined : hourOf(value, environment, destination);
  if (error !== undefined && hour === undefined) return <Failure message={error} onRetry={again} />;
  if (hour === undefined) return <Loading what="the last hour" />;
  if (hour.seconds.length === 0) return <Empty title="The relay has just started: the first sample comes soon." />;
  return <Drawn hour={hour} />;
}

function Drawn({ hour }: { readonly hour: Hour }): JSX.Element {
  const { seconds, accepted, delivered, failedAttempts, p50Ms, p99Ms } = hour;
  return (
    <div class="charts">
      <Chart
        title="Ingest"
        seconds={seconds}
        format={perSecond}
        series={[{ name: "stored", values: accepted, tone: "ingest" }]}
      />
      <Chart
        title="Delivered"
        seconds={seconds}
        format={perSecond}
        series={[{ name: "delivered", values: delivered, tone: "delivered" }]}
      />
      <Chart
        title="Failed attempts"
        seconds={seconds}
        format={perSecond}
        series={[{ name: "failed", values: failedAttempts, tone: "failed" }]}
      />
      <Chart
        title="Latency"
        seconds={seconds}
        format={duration}
        series={[
          { name: "p50", values: p50Ms, tone: "half" },
          { name: "p99", values: p99Ms, tone: "slowest" },
        ]}
      />
    </div>
  );
}
