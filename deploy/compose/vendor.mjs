/**
 * A vendor to try the relay with: an emulator of Segment on port 8090 that takes every event,
 * counts them, and shows the last ones at `GET /`.
 */
import { emulators, startServer } from "@waybill/testing";

const PORT = 8090;
const SHOWN = 20;
/** Ids that it knows duplicates by: it may run for weeks. */
const IDS_KEPT = 1_000_000;

const segment = new emulators.SegmentEmulator({ keepEvents: SHOWN, keepIds: IDS_KEPT });

function summary() {
  const { received, duplicates, events } = segment;
  const body = JSON.stringify({ received, duplicates, last: events.map(({ event }) => event) }, undefined, 2);
  return { status: 200, headers: { "content-type": "application/json" }, body: `${body}\n` };
}

const server = await startServer((request) => (request.path === "/" ? summary() : segment.handle(request)), {
  port: PORT,
  host: "0.0.0.0",
});
process.stdout.write(`an emulated Segment on ${server.url}\n`);
process.once("SIGTERM", () => void server.close());
