/**
 * Stored events through every destination's chain: any JSON in any vendor's wire format, to any
 * vendor, through filter, sample, redaction and names of its own. With a vendor that takes
 * everything each event is delivered, left out, or a dead letter: nothing throws, nothing waits for
 * ever, and no request is made that HTTP refuses.
 */
import { isUtf8 } from "node:buffer";
import type { SeededRandom } from "@waybill/testing";
import { assertFinal, assertSpeakable, CHAINS, type Stored, sendThrough } from "../delivery.ts";
import { JSON_WORDS, WORDS } from "../dictionary.ts";
import { damage } from "../mutate.ts";
import { mutateJson } from "../mutate-json.ts";
import { FINE } from "../small-relay.ts";
import type { Target } from "../target.ts";

/** An input: a file of the corpus is one as well. */
export interface EventsInput extends Stored {
  /** One of {@link CHAINS}. */
  readonly to: string;
}

const EVENTS_MAX = 4;
const NAMES = [...CHAINS.keys()];

export const events: Target = {
  dictionary: JSON_WORDS,
  make(random, seeds) {
    const all = seeds.map((seed) => JSON.parse(seed.toString()) as EventsInput);
    const { metadata } = random.pick(all);
    const like = all.filter((one) => one.metadata.split(" ")[0] === metadata.split(" ")[0]);
    const input: EventsInput = {
      to: random.pick(NAMES),
      metadata: random.chance(0.1) ? damaged(random, metadata) : metadata,
      events: Array.from({ length: 1 + random.below(EVENTS_MAX) }, () =>
        eventFrom(random, random.chance(0.8) ? like : all),
      ),
    };
    return Buffer.from(JSON.stringify(input));
  },
  open: () => ({
    async run(bytes) {
      const { to, metadata, events: texts } = JSON.parse(bytes.toString()) as EventsInput;
      const config = CHAINS.get(to);
      if (config === undefined) throw new Error(`no chain ${to}`);
      const outcomes = await sendThrough(config, { metadata, events: texts }, async (request) => {
        assertSpeakable(request);
        return FINE;
      });
      assertFinal(outcomes);
    },
  }),
};

function eventFrom(random: SeededRandom, from: readonly EventsInput[]): string {
  const texts = from.flatMap(({ events: inner }) => inner);
  return random.chance(0.9) ? mutateJson(random, texts) : damaged(random, random.pick(texts));
}

/** What the intake takes is UTF-8. */
function damaged(random: SeededRandom, text: string): string {
  const bytes = damage(random, Buffer.from(text), [Buffer.from(text)], WORDS);
  return isUtf8(bytes) ? bytes.toString() : bytes.toString("latin1");
}
