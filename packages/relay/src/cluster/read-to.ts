/** Waiting until a broker knows as much of a partition as the last owner of its lane did. */
import { type Clock, WaybillError } from "@waybill/core";
import type { Log, Position } from "@waybill/log";

/** How long it may take, and how often to look. */
const READ_MS = 10_000;
const LOOK_MS = 50;

export interface ReadTo {
  readonly clock: Clock;
  /** Names the partition. */
  readonly what: string;
  readonly log: Pick<Log, "head">;
  /** To where it was read or written, as far as the lane's state tells. */
  readonly position: Position;
  /** Throws when it is of no use to wait any longer. */
  readonly check?: () => void;
}

/**
 * A broker that is cut off from the others knows less of a partition than was acknowledged: what
 * lies between would be taken for new, or for never written. **Errors**: `WAYBILL_LOG_UNAVAILABLE`.
 */
export async function readTo({ clock, what, log, position, check }: ReadTo): Promise<void> {
  const untilMs = clock.monotonic() + READ_MS;
  while (log.head < position) {
    check?.();
    if (clock.monotonic() >= untilMs) throw unread(what, log.head, position);
    await new Promise<void>((resume) => clock.after(LOOK_MS, resume));
  }
}

function unread(what: string, head: Position, position: Position): WaybillError {
  return new WaybillError(
    "WAYBILL_LOG_UNAVAILABLE",
    `${what} was read to position ${head}, and its lane had come to ${position} before`,
    {
      retryable: true,
      hint: "A broker that is cut off from the others knows less than they do. When it stays so, the cluster has lost the partition's end.",
    },
  );
}
