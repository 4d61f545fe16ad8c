import { Histogram } from "../histogram.ts";

/** Seconds. An ordinary request takes as long as the disk's sync; beyond 1 s clients give up. */
const DURATION_LIMITS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** Bytes: from one event to the largest batch. */
const BODY_LIMITS: readonly number[] = [1, 4, 16, 64, 256, 1_024].map((kib) => kib * 1_024);
const STATUSES_OF_A_CLASS = 100;

export interface RequestSeries {
  /** The pattern of the path; "" where no vendor has it. */
  readonly route: string;
  /** `2xx` and so on. */
  readonly status: string;
  readonly seconds: Histogram;
}

/**
 * What is measured of the ingest requests of a source. Bounded: routes are the patterns of its
 * vendor's paths, and of statuses only the class is kept.
 */
export class RequestMeter {
  /** Of bodies that came completely, decompressed. */
  readonly bodyBytes: Histogram = new Histogram(BODY_LIMITS);
  readonly #byRoute = new Map<string, (Histogram | undefined)[]>();

  answered(route: string, status: number, seconds: number): void {
    let classes = this.#byRoute.get(route);
    if (classes === undefined) {
      classes = [];
      this.#byRoute.set(route, classes);
    }
    const index = Math.trunc(status / STATUSES_OF_A_CLASS);
    let histogram = classes[index];
    if (histogram === undefined) {
      histogram = new Histogram(DURATION_LIMITS);
      classes[index] = histogram;
    }
    histogram.observe(seconds);
  }

  *series(): Generator<RequestSeries> {
    for (const [route, classes] of this.#byRoute)
      for (const [index, seconds] of classes.entries())
        if (seconds !== undefined) yield { route, status: `${index}xx`, seconds };
  }
}
