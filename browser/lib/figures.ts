/** What a run of the suite measures, and what it may be. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Figures } from "./flow.ts";

/** As the build of the page writes it, seen from what this file is compiled to. */
const BUILT = fileURLToPath(new URL("../../../packages/relay/page/", import.meta.url));
const FLOWS_MIN = 20;
const GZIP_MAX_BYTES = 81_920;
const FIRST_PAINT_MAX_MS = 500;
const LIVE_UPDATE_MAX_MS = 1_000;

export interface Measured extends Figures {
  readonly flows: number;
  readonly passed: number;
  readonly gzipBytes: number;
}

export function newFigures(): Figures {
  return { views: new Set(), axeViolations: 0, foreignRequests: 0, firstPaintMs: undefined, liveUpdateMs: undefined };
}

/** Of every file that the relay serves as the page. */
export function gzipBytesOfPage(folder: string = BUILT): number {
  return readdirSync(folder).reduce((sum, name) => {
    const path = join(folder, name);
    const isFolder = statSync(path).isDirectory();
    return sum + (isFolder ? gzipBytesOfPage(path) : gzipSync(readFileSync(path), { level: 9 }).length);
  }, 0);
}

/** Figures that are not within their bounds, each in a sentence. */
export function beyond(measured: Measured): readonly string[] {
  const { flows, axeViolations, foreignRequests, gzipBytes, firstPaintMs, liveUpdateMs } = measured;
  const bounds: readonly (readonly [holds: boolean, what: string])[] = [
    [flows >= FLOWS_MIN, `${flows} flows; at least ${FLOWS_MIN}`],
    [axeViolations === 0, `${axeViolations} violations found by axe; none`],
    [foreignRequests === 0, `${foreignRequests} requests to other hosts; none`],
    [gzipBytes > 0 && gzipBytes <= GZIP_MAX_BYTES, `${gzipBytes} bytes after gzip; at most ${GZIP_MAX_BYTES}`],
    [(firstPaintMs ?? Infinity) < FIRST_PAINT_MAX_MS, `first paint ${firstPaintMs} ms; under ${FIRST_PAINT_MAX_MS}`],
    [(liveUpdateMs ?? Infinity) < LIVE_UPDATE_MAX_MS, `live update ${liveUpdateMs} ms; under ${LIVE_UPDATE_MAX_MS}`],
  ];
  return bounds.flatMap(([holds, what]) => (holds ? [] : [what]));
}

/** The last line; `null` for what was not measured. */
export function figuresLine(measured: Measured): string {
  const { views, flows, passed, axeViolations, gzipBytes, foreignRequests } = measured;
  const { firstPaintMs = null, liveUpdateMs = null } = measured;
  return JSON.stringify({
    views: views.size,
    flows,
    passed,
    axeViolations,
    gzipBytes,
    foreignRequests,
    firstPaintMs,
    liveUpdateMs,
  });
}
