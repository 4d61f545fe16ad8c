import type { HttpResponse, Random, Transport } from "@waybill/core";
import { VirtualClock } from "@waybill/testing";
import type { Host } from "../../src/options.ts";

/** What the vendor does with one request. */
export type Reaction =
  | "take"
  | "refuse the bad"
  | "refuse the batch"
  | "503"
  | "429"
  | "401"
  | "reset"
  | "act and reset"
  | "hang"
  | "throw"
  | "reject with nothing"
  | "garbage";

export interface ScriptedVendor {
  readonly transport: Transport;
  /** Per event, by its own number: what the vendor said of it, in order. */
  readonly said: Map<number, ("taken" | "refused")[]>;
}

interface Sent {
  readonly properties: { readonly number: number; readonly bad?: boolean };
}

/**
 * A server of Segment's protocol that reacts as it is reported, request after request; afterwards
 * it takes everything but events that are `bad`. It knows events by their number, not by their
 * message id: several may have the same.
 */
export function scriptedVendor(script: readonly Reaction[]): ScriptedVendor {
  const said: ScriptedVendor["said"] = new Map();
  let request = 0;
  const note = (event: Sent, what: "taken" | "refused"): void => {
    const { number } = event.properties;
    said.set(number, [...(said.get(number) ?? []), what]);
  };
  const answer = (status: number, body: object, headers = {}): HttpResponse => ({
    status,
    headers,
    body: JSON.stringify(body),
  });
  const transport: Transport = async ({ body }, signal) => {
    const { batch } = JSON.parse(body.join("")) as { batch: Sent[] };
    const reaction = script[request++] ?? "refuse the bad";
    const bad = batch.filter(({ properties }) => properties.bad === true);
    switch (reaction) {
      case "take":
      case "refuse the bad": {
        // One that takes everything has no rejects; `take` is only true to its name without bad
        // events.
        for (const event of batch) note(event, event.properties.bad === true ? "refused" : "taken");
        const rejected = bad.map((event) => ({ index: batch.indexOf(event), code: "bad", message: "bad" }));
        return answer(200, rejected.length === 0 ? { success: true } : { success: true, rejected });
      }
      case "refuse the batch":
        if (bad.length === 0) {
          for (const event of batch) note(event, "taken");
          return answer(200, { success: true });
        }
        if (batch.length === 1) note(batch[0] as Sent, "refused");
        return answer(400, { code: "bad_event", message: "some event is bad" });
      case "503":
      case "429":
        return answer(Number(reaction), {}, reaction === "429" ? { "retry-after": "1" } : {});
      case "401":
        return answer(401, { code: "unauthorized" });
      case "act and reset":
        // The client receives no answer, so there is none to write down.
        throw new Error("reset after it acted");
      case "hang":
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
      case "reject with nothing":
        return Promise.reject(undefined);
      case "garbage":
        return { status: "200", body: 5 } as never;
      case "reset":
      case "throw":
        throw new Error(reaction);
    }
  };
  return { transport, said };
}

export function hostOf(clock: VirtualClock, random: Random): Host {
  const transport: Transport = () => Promise.reject(new Error("none was given"));
  return { runtime: { clock, random, transport }, byteLength: (text) => Buffer.byteLength(text) };
}
