import { linesOf } from "./lines.ts";

const EVENT = "event: ";
const DATA = "data: ";

/** Something is not shown from here on; `data` has the reason. */
export const INTERRUPTED = "interrupted";

export interface ServerSent {
  /** Default: "". */
  readonly event: string;
  readonly data: string;
}

/** Why, of the data of such an event. */
export function reasonOf(data: string): string {
  return String((JSON.parse(data) as { readonly reason?: unknown }).reason);
}

/** Server-sent events as they come. Of heartbeats there is an `undefined`. */
export async function* dataOf(response: AsyncIterable<Buffer>): AsyncGenerator<ServerSent | undefined> {
  let event = "";
  for await (const line of linesOf(response)) {
    if (line === "") event = "";
    else if (line.startsWith(EVENT)) event = line.slice(EVENT.length);
    else if (line.startsWith(DATA)) yield { event, data: line.slice(DATA.length) };
    else if (line.startsWith(":")) yield undefined;
  }
}
