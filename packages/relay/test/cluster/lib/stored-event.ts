import { encodeValue } from "@waybill/log-kafka";

/** The value of a record that holds one event. */
export function storedEvent(messageId: string, userId: string, event = "E"): ReturnType<typeof encodeValue> {
  const body = Buffer.from(`{"type":"track","event":"${event}","userId":"${userId}","messageId":"${messageId}"}`);
  const ends = Uint32Array.of(body.length);
  return encodeValue({ source: "web", receivedAtMs: 1, metadata: "", body: [body], ends });
}
