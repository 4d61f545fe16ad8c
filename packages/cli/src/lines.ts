import { WaybillError } from "@waybill/core";

const NEWLINE = 0x0a;
/** More than any event or line that Waybill writes. */
const LINE_MAX_BYTES = 64 * 1024 * 1024;

/**
 * The lines of a stream, without their ends. Only LF and CR LF end a line: in JSON the other
 * separators of Unicode occur within texts.
 * **Errors**: `WAYBILL_INPUT` for a line above 64 MiB; those of the stream.
 */
export async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let bytes = 0;
  let isFirst = true;
  const line = (): string => {
    const text = Buffer.concat(parts, bytes).toString();
    parts = [];
    bytes = 0;
    const whole = isFirst ? text.replace(/^\uFEFF/, "") : text;
    isFirst = false;
    return whole.endsWith("\r") ? whole.slice(0, -1) : whole;
  };
  for await (const chunk of input) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      parts.push(chunk.subarray(start, end));
      bytes += end - start;
      yield line();
      start = end + 1;
    }
    parts.push(chunk.subarray(start));
    bytes += chunk.length - start;
    if (bytes > LINE_MAX_BYTES)
      throw new WaybillError("WAYBILL_INPUT", `A line has more than ${LINE_MAX_BYTES} bytes`, {
        hint: "The input is one JSON object a line.",
      });
  }
  if (bytes > 0) yield line();
}
