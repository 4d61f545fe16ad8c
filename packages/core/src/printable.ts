/**
 * Text of strangers made safe to print: control characters, which can steer a terminal or forge a
 * line of a log, and characters that reverse the direction of writing become escapes such as
 * `\u001b`. Everything else stays as it is.
 */
export function printable(text: string): string {
  return UNSAFE.test(text) ? text.replaceAll(new RegExp(UNSAFE, "gu"), escapeOf) : text;
}

/** C0, DEL and C1; line and paragraph separators; marks and overrides of direction. */
const UNSAFE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
