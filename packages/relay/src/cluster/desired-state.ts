/**
 * What operators asked of all relays, as the compacted topic `<prefix>.desired` has it. By key:
 *
 * - `pause/<environment>/<destination>`: the lanes of a destination are paused; nothing: they go on
 * - `rotation/<key set>`: the last rotation of a source's or a destination's keys, sealed
 * - `reload`: each relay reads its configuration anew, when it comes while it runs
 * - `replay/<environment>/<id>` and below: see `asked-replays.ts`
 * - `mark`: always nothing; written to find the topic's end
 *
 * The order of the topic decides. What does not have this shape says nothing. What there is no room
 * for is left out: see `desired-keys.ts`.
 */
import { z } from "zod";
import { destinationKeySet } from "../credentials/credentials.ts";
import { type KeptRotation, parseRotations } from "../credentials/kept-rotations.ts";
import { AskedReplays } from "./asked-replays.ts";
import { DesiredKeys } from "./desired-keys.ts";
import type { Sealing } from "./sealing.ts";

export interface LanesOf {
  readonly environment: string;
  readonly destination: string;
}

/** What a record asks for. */
export type Wish =
  | ({ readonly type: "pause" | "resume" } & LanesOf)
  | { readonly type: "rotation"; readonly keySet: string; readonly rotation: KeptRotation }
  /** A rotation that cannot be opened here. */
  | { readonly type: "unopened"; readonly keySet: string; readonly reason: string }
  /** Something about the replays of an environment. */
  | { readonly type: "replay"; readonly environment: string }
  | { readonly type: "reload" }
  /** There is no room for it. */
  | { readonly type: "left out" };

export const RELOAD_KEY = "reload";
const OTHER_SEALING_KEY = "its rotated key was sealed with another kafka.sealingKey than this relay has";
const sealedValue = z.object({ sealed: z.string() });

export function pauseKey({ environment, destination }: LanesOf): string {
  return `pause/${environment}/${destination}`;
}

export function rotationKey(keySet: string): string {
  return `rotation/${keySet}`;
}

/** The value of a rotation. */
export function sealedRotation(rotation: KeptRotation, sealing: Sealing): string {
  return JSON.stringify({ sealed: sealing.seal(rotationKey(rotation.keySet), JSON.stringify([rotation])) });
}

export class DesiredState {
  readonly replays: AskedReplays = new AskedReplays();
  readonly #sealing: Sealing | undefined;
  /** Keys of pauses. */
  readonly #paused = new Set<string>();
  readonly #rotations = new Map<string, KeptRotation>();
  /** Key sets whose last rotation is about to hold here. */
  readonly #coming = new Set<string>();
  /** By key set, why the last rotation does not hold here. */
  readonly #notHeld = new Map<string, string>();
  readonly #keys = new DesiredKeys();
  /** Whether there was no room for something. */
  hasLeftOut = false;

  constructor(sealing: Sealing | undefined) {
    this.#sealing = sealing;
  }

  /** Takes a record over. `undefined`: it says nothing. */
  note(key: string, value: string): Wish | undefined {
    if (key === RELOAD_KEY) return value === "" ? undefined : { type: "reload" };
    const [, what, rest = ""] = /^(pause|rotation|replay)\/(.*)$/s.exec(key) ?? [];
    if (what === undefined || (what === "rotation" && value === "")) return undefined;
    if (!this.hasRoomFor(key, value)) {
      this.hasLeftOut = true;
      return { type: "left out" };
    }
    if (value === "") this.#keys.drop(key);
    else this.#keys.keep(key, value);
    if (what === "rotation") return this.#noteRotation(rest, value);
    if (what === "replay") {
      const replay = this.replays.note(key, value);
      return replay === undefined ? undefined : { type: "replay", environment: replay.environment };
    }
    const [, environment, destination] = /^([^/]+)\/(.+)$/s.exec(rest) ?? [];
    if (environment === undefined || destination === undefined) return undefined;
    if (value === "") this.#paused.delete(key);
    else this.#paused.add(key);
    return { type: value === "" ? "resume" : "pause", environment, destination };
  }

  /** What takes something back, or is not kept, always has. */
  hasRoomFor(key: string, value: string): boolean {
    return value === "" || key === RELOAD_KEY || this.#keys.hasRoomFor(key, value);
  }

  #noteRotation(keySet: string, value: string): Wish {
    const rotation = this.#opened(keySet, value);
    if (rotation === undefined) {
      this.#coming.delete(keySet);
      this.#rotations.delete(keySet);
      this.#notHeld.set(keySet, OTHER_SEALING_KEY);
      return { type: "unopened", keySet, reason: OTHER_SEALING_KEY };
    }
    this.#rotations.set(keySet, rotation);
    this.#coming.add(keySet);
    this.#notHeld.delete(keySet);
    return { type: "rotation", keySet, rotation };
  }

  #opened(keySet: string, value: string): KeptRotation | undefined {
    try {
      const { sealed } = sealedValue.parse(JSON.parse(value));
      const text = this.#sealing?.open(rotationKey(keySet), sealed);
      const [rotation] = text === undefined ? [] : (parseRotations(JSON.parse(text)) ?? []);
      return rotation?.keySet === keySet ? rotation : undefined;
    } catch {
      return undefined;
    }
  }

  /** The last ones that could be opened. */
  get rotations(): readonly KeptRotation[] {
    return [...this.#rotations.values()];
  }

  /** A rotation is used from now on. Another one may have come meanwhile. */
  held(rotation: KeptRotation): void {
    if (this.#rotations.get(rotation.keySet) === rotation) this.#coming.delete(rotation.keySet);
  }

  notHeld(rotation: KeptRotation, reason: string): void {
    if (this.#rotations.get(rotation.keySet) !== rotation) return;
    this.#coming.delete(rotation.keySet);
    this.#notHeld.set(rotation.keySet, reason);
  }

  /** Why the lanes of a destination must not send; `undefined`: they may. */
  holdOf(lanes: LanesOf): string | undefined {
    if (this.#paused.has(pauseKey(lanes))) return "paused by an operator";
    const keySet = destinationKeySet(lanes.environment, lanes.destination);
    return this.#notHeld.get(keySet) ?? (this.#coming.has(keySet) ? "its rotated key is about to be used" : undefined);
  }

  /** Which rotations do not hold here, a sentence each. */
  get faults(): readonly string[] {
    return [...this.#notHeld].map(([keySet, reason]) => `${keySet.trim()}: ${reason}`);
  }
}
