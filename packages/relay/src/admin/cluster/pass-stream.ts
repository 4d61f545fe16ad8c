/**
 * A stream of another relay, passed on as it comes: the reader's pace is the other relay's, and
 * both ends close when either does. It counts among the streams of both relays.
 */
import { type Clock, messageOf } from "@waybill/core";
import type { HttpStream } from "@waybill/node";
import type { RelayEntry } from "../../cluster/relay-directory.ts";
import { writeAnswer } from "../../intake/answers.ts";
import type { Call } from "../handlers/call.ts";
import { PROBLEM_TYPE } from "../routes/route.ts";
import type { Operation } from "../routes/table.ts";
import { HEARTBEAT_MS, heartbeat, interruptedText, LINES_HEADERS, SSE_HEADERS, type Stream } from "../streams.ts";
import type { AdminView } from "../view.ts";
import { notSilent, wholeMessages } from "./peer-chunks.ts";
import { faultText, type Peers } from "./peers.ts";
import { isElsewhere, unanswered } from "./unanswered.ts";

/** Three heartbeats. */
export const SILENT_MAX_MS: number = 3 * HEARTBEAT_MS;
/** An export has none: it looks through all dead letters for those that were chosen. */
const EXPORT_SILENT_MAX_MS = 600_000;
const REFUSAL_MAX_BYTES = 64 * 1024;
const OK = 200;

export interface PassedStream {
  readonly operation: Operation;
  readonly call: Call<Operation>;
  readonly peers: Peers;
  readonly relay: RelayEntry;
  /** Thrown when the relay has not got it any more. */
  readonly elsewhere: () => Error;
}

export async function passStream(
  { clock }: Pick<AdminView, "clock">,
  { operation, call, peers, relay, elsewhere }: PassedStream,
): Promise<void> {
  const { request, response } = call;
  const stream = (operation === "watchAttempts" ? call.watchers : call.streams).claim(response);
  const opened = await peers.open(relay, request.url ?? "", stream.signal);
  if (stream.signal.aborted) return;
  if ("fault" in opened) throw unanswered([faultText(opened)]);
  const { status, chunks } = opened.stream;
  if (status !== OK) {
    const body = await textOf(notSilent(chunks, clock, SILENT_MAX_MS));
    if (isElsewhere({ status, body })) throw elsewhere();
    return writeAnswer(response, { status, headers: { "content-type": PROBLEM_TYPE }, body });
  }
  if (operation === "exportDeadLetters") {
    response.writeHead(OK, LINES_HEADERS);
    if (await passLines(stream, opened.stream, clock)) stream.end();
    else response.destroy();
    return;
  }
  response.writeHead(OK, SSE_HEADERS);
  const stop = heartbeat(clock, stream, call.isAllowed);
  try {
    for await (const messages of wholeMessages(notSilent(chunks, clock, SILENT_MAX_MS)))
      if (!(await stream.write(messages))) return;
  } catch (error) {
    if (!stream.signal.aborted)
      await stream.write(interruptedText(`The relay ${faultText({ relay, fault: messageOf(error) })}.`));
  } finally {
    stop();
    stream.end();
  }
}

/** An export of another relay's lane, into an answer that has begun; whether that was all of it. */
export async function passExport(
  stream: Stream,
  of: { readonly peers: Peers; readonly relay: RelayEntry; readonly path: string; readonly clock: Clock },
): Promise<boolean> {
  const opened = await of.peers.open(of.relay, of.path, stream.signal);
  return "stream" in opened && opened.stream.status === OK && (await passLines(stream, opened.stream, of.clock));
}

/** Whether all of an export was passed on: a part must not look like the whole. */
async function passLines(stream: Stream, { chunks }: HttpStream, clock: Clock): Promise<boolean> {
  try {
    for await (const chunk of notSilent(chunks, clock, EXPORT_SILENT_MAX_MS))
      if (!(await stream.write(Buffer.from(chunk)))) return false;
    return true;
  } catch {
    return false;
  }
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    bytes += chunk.length;
    if (bytes > REFUSAL_MAX_BYTES) break;
  }
  return Buffer.concat(parts).toString();
}
