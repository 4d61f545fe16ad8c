/** What other relays answer, read as a schema wants it. */
import type { z } from "zod";
import type { RelayEntry } from "../../cluster/relay-directory.ts";
import type { PeerAnswer, Unanswered } from "./peers.ts";

export interface OthersReports<T> {
  readonly found: readonly { readonly relay: RelayEntry; readonly value: T }[];
  readonly unanswered: readonly Unanswered[];
}

/** Who has not found what was asked for is in neither list. */
export function reportsOf<S extends z.ZodType>(answers: readonly PeerAnswer[], schema: S): OthersReports<z.infer<S>> {
  const found: { readonly relay: RelayEntry; readonly value: z.infer<S> }[] = [];
  const unanswered: Unanswered[] = [];
  for (const answer of answers) {
    const read = readAnswer(answer, schema);
    if (read !== undefined && "fault" in read) unanswered.push(read);
    else if (read !== undefined) found.push({ relay: answer.relay, value: read.value });
  }
  return { found, unanswered };
}

function readAnswer<S extends z.ZodType>(
  answer: PeerAnswer,
  schema: S,
): { readonly value: z.infer<S> } | Unanswered | undefined {
  if ("fault" in answer) return answer;
  const { relay, response } = answer;
  if (response.status === 404) return undefined;
  if (response.status === 204) return { value: undefined as z.infer<S> };
  if (response.status !== 200) return { relay, fault: `answers with ${response.status}` };
  const { success, data } = schema.safeParse(jsonOf(response.body));
  return success ? { value: data } : { relay, fault: "answers with what is not known here" };
}

/** `undefined` for what is not JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
