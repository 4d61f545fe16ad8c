/**
 * Sends 1,000 events to the URL it is given and prints what became of them: what each runtime is
 * asked to do.
 */
import { createClient } from "waybill";

export async function send(url) {
  const errors = [];
  const client = createClient({ relay: { url, writeKey: "dev" }, onError: (error) => errors.push(error.message) });
  for (let index = 0; index < 1_000; index++)
    client.track({ userId: `u-${index % 7}`, event: "Tried", properties: { index, text: "Grüße" } });
  const summary = await client.close({ deadlineMs: 20_000 });
  return { ...summary, errors };
}
