import { linesOf } from "./lines.ts";

const DATA = "data: ";

/** The `data` of each server-sent event, as it comes. Of heartbeats there is an `undefined`. */
export async function* dataOf(response: AsyncIterable<Buffer>): AsyncGenerator<string | undefined> {
  for await (const line of linesOf(response)) {
    if (line.startsWith(DATA)) yield line.slice(DATA.length);
    else if (line.startsWith(":")) yield undefined;
  }
}
