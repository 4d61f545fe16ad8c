import type { Disk, Transport } from "@waybill/core";
import type { BodyReader, Environment } from "@waybill/relay/headless";
import type { ServerHandler } from "@waybill/testing";

/** A bug that a careless change could bring, at the place where it is put into a run. */
export interface PlantedBug {
  readonly name: string;
  readonly what: string;
  /** The seed at which it was found first; the hunt begins there. */
  readonly seed: number;
  /** Between the relay and its disk. */
  readonly disk?: (disk: Disk) => Disk;
  /** Between the relay's lanes and the vendors. */
  readonly relayTransport?: (transport: Transport) => Transport;
  /** Between the clients and the relay. */
  readonly clientTransport?: (transport: Transport) => Transport;
  /** Around the relay's answers, where nothing catches what is thrown. */
  readonly requests?: (handle: ServerHandler) => ServerHandler;
  /** Between requests and their bodies, of which all together may be so large. */
  readonly bodies?: (bodies: Bodies, maxTotalBytes: number) => Bodies;
  /** In an opened environment. */
  readonly environment?: (environment: Environment) => void;
  /** In the code itself; returns what takes it back. */
  readonly patch?: () => () => void;
}

/** The part of the body reader that requests go through. */
export type Bodies = Pick<BodyReader, "read" | "heldBytes">;
