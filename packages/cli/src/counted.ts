import { numberText } from "./terminal/units.ts";

/** `1 event`, `1,841 events`: a number with its word. */
export function counted(count: number, word: string): string {
  return `${numberText(count)} ${word}${count === 1 ? "" : "s"}`;
}
