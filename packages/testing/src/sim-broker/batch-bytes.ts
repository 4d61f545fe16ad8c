/** A batch's head, of format 2. */
const HEAD_BYTES = 61;
/** Of a record: attributes, time, the length of its key, no headers. */
const RECORD_BYTES = 4;
const VARINT_BITS = 7;

/** The size of a batch of records, as a broker counts it. */
export function batchBytes(values: readonly Uint8Array[], keys?: readonly string[]): number {
  return values.reduce((sum, value, index) => {
    const key = Buffer.byteLength(keys?.[index] ?? "");
    const keyBytes = key === 0 ? 0 : varintBytes(key) - 1 + key;
    const bytes = RECORD_BYTES + varintBytes(index) + keyBytes + varintBytes(value.length) + value.length;
    return sum + varintBytes(bytes) + bytes;
  }, HEAD_BYTES);
}

/** Of a number that is not negative, in Kafka's zigzag encoding. */
function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = Math.floor((2 * value) / 2 ** VARINT_BITS); rest > 0; rest = Math.floor(rest / 2 ** VARINT_BITS))
    bytes += 1;
  return bytes;
}
