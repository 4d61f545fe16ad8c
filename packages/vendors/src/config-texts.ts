/**
 * Texts of the configuration that become a part of HTTP: what cannot be sent is found before it
 * halts
 * a lane. No message has the text itself: it may be a secret.
 */

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** All but the tab. */
const CONTROL = /(?!\t)\p{Cc}/u;
const KEY_MAX_CHARACTERS = 4_096;

/** Why a text cannot be a key, token or id in a header or a path; `undefined` when it can. */
export function keyFault(text: string): string | undefined {
  if (text === "") return "is empty";
  if (text.length > KEY_MAX_CHARACTERS) return `has more than ${KEY_MAX_CHARACTERS} characters`;
  if (/[\r\n]$/.test(text)) return "ends in a line break; the file or variable it comes from may have one at its end";
  if (/\s/.test(text)) return "has white space in it";
  if (!/^[\x21-\x7e]+$/.test(text)) return "has characters that are not printable ASCII";
  return undefined;
}

export function headerNameFault(name: string): string | undefined {
  return HEADER_NAME.test(name) ? undefined : "is not a header name";
}

/** What HTTP refuses as a header's value. */
export function headerValueFault(value: string): string | undefined {
  if (/[\r\n]$/.test(value)) return "ends in a line break; the file or variable it comes from may have one at its end";
  if (CONTROL.test(value)) return "has control characters";
  if (/[^\t\x20-\xff]/.test(value)) return "has characters beyond Latin-1, which HTTP headers cannot carry";
  return undefined;
}
