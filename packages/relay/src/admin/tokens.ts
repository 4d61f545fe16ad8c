/** The admin API's two tokens, and what each may do. */
import { createHash, timingSafeEqual } from "node:crypto";

export type Role = "full" | "readOnly";

export interface Tokens {
  readonly token: string | undefined;
  readonly readOnlyToken: string | undefined;
}

/** Whose token it is, compared in constant time. */
export function roleOfToken(given: string, tokens: Tokens): Role | undefined {
  const digest = digestOf(given);
  const isFull = tokens.token !== undefined && timingSafeEqual(digest, digestOf(tokens.token));
  const isReadOnly = tokens.readOnlyToken !== undefined && timingSafeEqual(digest, digestOf(tokens.readOnlyToken));
  if (isFull) return "full";
  return isReadOnly ? "readOnly" : undefined;
}

export function tokenOf(role: Role, { token, readOnlyToken }: Tokens): string | undefined {
  return role === "full" ? token : readOnlyToken;
}

export function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
