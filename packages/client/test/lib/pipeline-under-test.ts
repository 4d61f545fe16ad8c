import { type MakePipeline, type PipelineWorld, testPipeline } from "@waybill/testing/suites";
import { segment } from "waybill";
import { Captured, type Shared } from "../../src/captured.ts";
import { type Pipeline, type PipelineOptions, resolveClientOptions } from "../../src/options.ts";
import { messageIdOf } from "../../src/serialise.ts";

/** Runs the contract suite over a pipeline, with around it what the client does. */
export function testClientPipeline(name: string, create: (options: PipelineOptions) => Pipeline): void {
  const make: MakePipeline = (world) => {
    const { clock, onDrop } = world;
    const shared: Shared = { clock, destinations: world.destinations.length, awaited: new Set(), over: false };
    const pipeline = create({ ...optionsOf(world), metadata: "", shared, onDrop, onError: () => undefined });
    return {
      push(text) {
        const event = new Captured(
          { messageId: messageIdOf(text), text, bytes: Buffer.byteLength(text), atMs: clock.now() },
          shared,
        );
        pipeline.push(event);
        return event.outcome();
      },
      drop: (reason, messageId) => pipeline.drop(reason, messageId),
      flush: () => pipeline.flush(),
      close: (deadlineMs) => pipeline.close(deadlineMs),
      freeze() {
        pipeline.freeze?.();
        shared.over = true;
        for (const event of shared.awaited) event.leave();
      },
      accounts: () => pipeline.accounts(),
    };
  };
  testPipeline(name, make);
}

function optionsOf(world: PipelineWorld): Pick<PipelineOptions, "options" | "host" | "destinations"> {
  const { clock, random, transport, queueMaxEvents, overflow, backoffMaxMs } = world;
  const destinations = world.destinations.map((name) => segment({ name, url: `http://${name}.test`, writeKey: "k" }));
  return {
    options: resolveClientOptions({ destinations, queueMaxEvents, overflow, backoffMaxMs }),
    host: { runtime: { clock, random, transport }, byteLength: (text) => Buffer.byteLength(text) },
    destinations,
  };
}
