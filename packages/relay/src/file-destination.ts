/**
 * Events appended to a file, a line each, fsynced before they count as delivered. A full or old file is renamed with the time it began and a new one begun.
 *
 * A batch is written at the end that was last synced: what an interrupted write left behind is overwritten, also after a crash of this relay,
 * when the file's own end is taken (a batch may then stand there twice: at least once).
 */
import {
  type Chunk,
  DELIVERED,
  type DiskFile,
  type DiskRuntime,
  messageOf,
  outcomesOf,
  type Protocol,
  type Runtime,
  type Transport,
  WaybillError,
} from "@waybill/core";
import type { DestinationConfig } from "./config/types.ts";
import { linesOf } from "./http-destination.ts";

const LIMITS = { maxEvents: 1_000, maxBytes: 1024 * 1024 };

/** Writing is the transport's work: one "request" per batch, and any failure of the disk is tried again like one of the network. */
export function fileProtocol({ path = "" }: DestinationConfig, _runtime: Runtime): Protocol {
  return {
    limits: LIMITS,
    maxEventBytes: LIMITS.maxBytes,
    request: (batch) => ({
      method: "POST",
      url: `file://${path}`,
      headers: {},
      body: linesOf(batch.count, (index) => batch.event(index)),
    }),
    classify: (_response, { count }) => outcomesOf(count, DELIVERED),
  };
}

interface OpenFile {
  readonly file: DiskFile;
  readonly beganAtMs: number;
  bytes: number;
}

export function fileTransport(config: DestinationConfig, runtime: Runtime): Transport {
  const { disk, clock } = runtime as DiskRuntime;
  const { path = "", rotateBytes, rotateAfterMs } = config;
  const directory = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
  let open: OpenFile | undefined;
  /** Requests come one after another; this holds whatever else may call. */
  let tail: Promise<unknown> = Promise.resolve();

  const openFile = async (): Promise<OpenFile> => {
    await disk.makeDirectory(directory);
    const name = path.slice(directory.length + (path.includes("/") ? 1 : 0));
    const exists = (await disk.list(directory)).includes(name);
    const file = await disk.open(path, exists ? {} : { create: true });
    if (!exists) await disk.syncDirectory(directory);
    return { file, beganAtMs: clock.now(), bytes: await file.size() };
  };
  const rotated = async (current: OpenFile): Promise<undefined> => {
    await current.file.close();
    const began = new Date(current.beganAtMs).toISOString().replaceAll(/[:.]/g, "-");
    await disk.rename(
      path,
      path.replace(/(\.[^./]+)?$/, (extension) => `-${began}${extension}`),
    );
    await disk.syncDirectory(directory);
    return undefined;
  };
  const append = async (body: readonly Chunk[]): Promise<void> => {
    const bytes = Buffer.concat(body.map((chunk) => (typeof chunk === "string" ? Buffer.from(chunk) : chunk)));
    const isFull = (current: OpenFile): boolean =>
      current.bytes > 0 &&
      (current.bytes + bytes.length > rotateBytes || clock.now() - current.beganAtMs >= rotateAfterMs);
    open ??= await openFile();
    if (isFull(open)) open = await rotated(open);
    open ??= await openFile();
    await open.file.write([bytes], open.bytes);
    await open.file.sync();
    open.bytes += bytes.length;
  };
  return async ({ body }) => {
    const writing = tail.then(() => append(body));
    tail = writing.catch(() => undefined);
    try {
      await writing;
    } catch (error) {
      await open?.file.close().catch(() => undefined);
      open = undefined;
      throw new WaybillError("WAYBILL_DISK", `Cannot append to ${path}: ${messageOf(error)}`, {
        cause: error,
        retryable: true,
      });
    }
    return { status: 200, headers: {}, body: "" };
  };
}
