/**
 * Where the state of a lane or a replay is kept: a file of two slots (`LaneState`), or what a
 * log that is not on a disk has in its place.
 */
export interface DurableState<T extends object> {
  /** What was stored when it was opened. */
  readonly initial: T;
  /** Whether a state can be written. Cheap for a state that is written next. */
  fits(value: T): boolean;
  /**
   * Replaces the state. Any number of calls at once; the last one counts. **Errors**: the state may
   * be written or not, and the next call may succeed; not after {@link isOurs} is false.
   */
  write(value: T): Promise<void>;
  /** Makes durable what was written, where a write alone does not. */
  sync(): Promise<void>;
  close(): Promise<void>;
  /**
   * Present where another process may take the lane over. Once it is false it stays so: a write was
   * refused, or too long ago it was certain that the lane is ours. Cheap: read before each step.
   */
  readonly isOurs?: () => boolean;
}
