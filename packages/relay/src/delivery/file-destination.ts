import { DELIVERED, outcomesOf, type Protocol } from "@waybill/core";
import type { FileDestination } from "../config/types.ts";
import type { DestinationAdapter } from "./adapter.ts";
import { linesOf } from "./http-destination.ts";

const LIMITS = { maxEvents: 1_000, maxBytes: 1024 * 1024 };

/** A file: events as they were taken in, a line each (file-writer.ts). */
export const file: DestinationAdapter<FileDestination> = {
  name: "file",
  defaultOrder: "arrival",
  outbound: fileProtocol,
  knowsDuplicatesBy: "nothing",
  transport: (config, writer) => writer.transport(config),
};

/**
 * Writing is the transport's work: one "request" per batch, and any failure of the disk is tried
 * again like one of the network.
 */
function fileProtocol(): Protocol {
  return {
    limits: LIMITS,
    maxEventBytes: LIMITS.maxBytes,
    request: (batch) => ({
      method: "POST",
      url: "file:///",
      headers: {},
      body: linesOf(batch.count, (index) => batch.event(index)),
    }),
    classify: (_response, { count }) => outcomesOf(count, DELIVERED),
  };
}
