/**
 * Requests to every inbound adapter: method, path, headers, encoding and body are all a stranger's.
 * Each is answered, once, without a defect; what its body held is given back; the lanes go on, and
 * a restart reads back whatever was stored.
 */
import assert from "node:assert";
import { messageOf } from "@waybill/core";
import { PATIENCE_MS } from "../delivery.ts";
import { WORDS } from "../dictionary.ts";
import { bytesOf, mutateRequest, readRequest, readResponse, writeRequest } from "../http-text.ts";
import { SmallRelay } from "../small-relay.ts";
import type { Target } from "../target.ts";

/** Inputs between two restarts, and restarts on one disk. */
const RESTART_EVERY = 100;
const RESTARTS_PER_DISK = 5;

export const requests: Target = {
  dictionary: WORDS,
  make: (random, seeds) => writeRequest(mutateRequest(random, seeds)),
  async open() {
    let relay = new SmallRelay();
    await relay.open();
    let inputs = 0;
    const restart = async (): Promise<void> => {
      await relay.drain(PATIENCE_MS);
      await relay.close();
      if (inputs % (RESTART_EVERY * RESTARTS_PER_DISK) === 0) relay = new SmallRelay();
      await relay.open();
    };
    return {
      async run(input) {
        const request = readRequest(input);
        const answered = readResponse(await relay.exchange(bytesOf(request)), request.line.startsWith("HEAD "));
        const [defect] = relay.defects.splice(0);
        assert.equal(defect, undefined, `a defect: ${defect instanceof Error ? defect.stack : messageOf(defect)}`);
        assert.notEqual(answered.status, 500, answered.body.toString());
        if (answered.headers.get("content-type")?.includes("json") === true && answered.body.length > 0)
          JSON.parse(answered.body.toString());
        assert.equal(relay.bodies.heldBytes, 0, "bytes are still held");
        inputs += 1;
        if (inputs % RESTART_EVERY === 0) await restart();
      },
      close: restart,
    };
  },
};
