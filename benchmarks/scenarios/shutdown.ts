/**
 * What clients notice of a stop: 32 keep-alive connections send 2,000 requests a second when the
 * relay gets SIGTERM. Each connection goes on until an answer has `Connection: close`, and then
 * tries to connect once more, as a client's pool does. Afterwards the relay starts again on its
 * data, and every acknowledged event must reach the vendor.
 */
import { connect, type Socket } from "node:net";
import { createUuidV7 } from "@waybill/core";
import { nodeClock, nodeRandom } from "@waybill/node";
import { pause } from "../chaos/load.ts";
import { Scene } from "../chaos/scene.ts";
import { publish, say } from "../lib/result.ts";
import { round, summarise } from "../lib/statistics.ts";

export interface ShutdownOptions {
  readonly rounds: number;
  /** Load before the signal. */
  readonly warmUpMs: number;
  readonly publish: boolean;
}

export const FULL: ShutdownOptions = { rounds: 5, warmUpMs: 3_000, publish: true };
export const QUICK: ShutdownOptions = { rounds: 1, warmUpMs: 500, publish: false };

const CONNECTIONS = 32;
const REQUESTS_PER_SECOND = 2_000;
const EXIT_MAX_MS = 1_000;
const REFUSED_MAX = 64;
const UNANSWERED_MAX = 32;
const SECOND_MS = 1_000;

interface ShutdownResult {
  readonly scenario: "shutdown";
  readonly requestsPerSecond: number;
  /** From the signal to the end of the process. The worst round's. */
  readonly exitMs: number;
  /**
   * Answers other than 200, and connections that were refused. The worst round's, as the next two.
   */
  readonly refused: number;
  /** Connections that were reset. */
  readonly resets: number;
  /** Acknowledged events that did not reach the vendor. */
  readonly lost: number;
  /** Requests that were sent and never answered. */
  readonly unknown: number;
  readonly [field: string]: unknown;
}

interface Counts {
  refused: number;
  resets: number;
  unknown: number;
  /** Requests that were answered with 200 after the signal. */
  acceptedAfterSignal: number;
}

export async function run({ rounds, warmUpMs, publish: keep }: ShutdownOptions): Promise<ShutdownResult> {
  const measured: (Counts & { readonly exitMs: number; readonly lost: number; readonly rate: number })[] = [];
  for (let number = 0; number < rounds; number++) {
    const one = await measure(warmUpMs);
    measured.push(one);
    say(
      `round ${number + 1}: ${Math.round(one.rate)} req/s, exit after ${one.exitMs.toFixed(0)} ms, ${one.acceptedAfterSignal} accepted after the signal, ` +
        `${one.refused} refused, ${one.resets} reset, ${one.unknown} without an answer, ${one.lost} lost`,
    );
  }
  const worst = (pick: (one: (typeof measured)[number]) => number): number => Math.max(...measured.map(pick));
  const result: ShutdownResult = {
    scenario: "shutdown",
    requestsPerSecond: round(summarise(measured.map(({ rate }) => rate)).median),
    exitMs: round(worst(({ exitMs }) => exitMs)),
    refused: worst(({ refused }) => refused),
    resets: worst(({ resets }) => resets),
    lost: measured.reduce((total, { lost }) => total + lost, 0),
    unknown: worst(({ unknown }) => unknown),
    rounds,
  };
  publish("shutdown", result, keep);
  return result;
}

export function failed({ exitMs, refused, resets, lost, unknown }: ShutdownResult): boolean {
  return exitMs > EXIT_MAX_MS || refused > REFUSED_MAX || resets + unknown > UNANSWERED_MAX || lost > 0;
}

async function measure(
  warmUpMs: number,
): Promise<Counts & { readonly exitMs: number; readonly lost: number; readonly rate: number }> {
  const scene = await Scene.open();
  await scene.start();
  const counts: Counts = { refused: 0, resets: 0, unknown: 0, acceptedAfterSignal: 0 };
  const acknowledged: string[] = [];
  const load = { port: scene.relay.port, startedAtMs: performance.now(), sent: 0, signalled: false };
  const connections = Array.from({ length: CONNECTIONS }, () => drive(load, counts, acknowledged));
  await pause(warmUpMs);
  const rate = (acknowledged.length * SECOND_MS) / (performance.now() - load.startedAtMs);
  load.signalled = true;
  const signalledAtMs = performance.now();
  const code = await scene.relay.stop("SIGTERM");
  const exitMs = performance.now() - signalledAtMs;
  if (code !== 0) throw new Error(`the relay ended with ${code}`);
  await Promise.all(connections);
  await scene.start();
  scene.acknowledge(acknowledged);
  const tally = await scene.finish();
  scene.clear(tally);
  return { ...counts, exitMs, rate, lost: tally.lost };
}

interface Load {
  readonly port: number;
  readonly startedAtMs: number;
  sent: number;
  signalled: boolean;
}

const makeId = createUuidV7(nodeClock, nodeRandom);

/**
 * One client: sends when a request is due, on one connection after another, until it can no longer
 * connect.
 */
async function drive(load: Load, counts: Counts, acknowledged: string[]): Promise<void> {
  for (;;) {
    const socket = await open(load.port);
    if (socket === undefined) {
      counts.refused += 1;
      return;
    }
    await converse(socket, load, counts, acknowledged);
  }
}

/** `undefined` when the connection is refused. */
function open(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
  });
}

/** Resolves when the connection has ended. */
function converse(socket: Socket, load: Load, counts: Counts, acknowledged: string[]): Promise<void> {
  return new Promise((resolve) => {
    let answer = "";
    let id: string | undefined;
    let timer: NodeJS.Timeout | undefined;
    let reset = false;
    const send = (): void => {
      const dueAtMs = load.startedAtMs + (load.sent++ * SECOND_MS) / REQUESTS_PER_SECOND;
      timer = setTimeout(
        () => {
          if (socket.destroyed) return;
          id = makeId();
          const body = `{"batch":[{"type":"track","event":"Shutdown","userId":"u","messageId":"${id}"}]}`;
          socket.write(
            `POST /v1/batch HTTP/1.1\r\nHost: relay\r\nAuthorization: Basic ${btoa("bench:")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          );
        },
        Math.max(0, dueAtMs - performance.now()),
      );
    };
    socket.setNoDelay(true);
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      answer += text;
      const end = answer.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(answer)?.[1] ?? Number.POSITIVE_INFINITY);
      if (end === -1 || answer.length < end + 4 + length) return;
      if (answer.startsWith("HTTP/1.1 200") && id !== undefined) acknowledged.push(id);
      else counts.refused += 1;
      if (load.signalled && answer.startsWith("HTTP/1.1 200")) counts.acceptedAfterSignal += 1;
      id = undefined;
      const last = /^connection: close/im.test(answer);
      answer = "";
      if (last) socket.end();
      else send();
    });
    socket.on("error", () => (reset = true));
    socket.on("close", () => {
      clearTimeout(timer);
      if (reset) counts.resets += 1;
      // Sent, and nobody knows what became of it.
      else if (id !== undefined) counts.unknown += 1;
      resolve();
    });
    send();
  });
}
