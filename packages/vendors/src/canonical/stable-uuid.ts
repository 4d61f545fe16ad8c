/**
 * A UUID that is the same for the same text, in the form of version 4, for vendors that take
 * nothing else as an id. A version 4 id stays as it is; a version 7 id changes in its version digit
 * alone, so that people still recognise it; of anything else 122 bits are hashed (not for secrets).
 */
const UUID = /^[\da-f]{8}-[\da-f]{4}-([1-8])[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/i;

export function stableUuid(text: string): string {
  if (UUID.test(text)) return `${text.slice(0, 14)}4${text.slice(15)}`.toLowerCase();
  const hex = hash128(text);
  const variant = "89ab"[Number.parseInt(hex[16] as string, 16) & 3];
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const SEEDS = [0x9e3779b9, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f];
const PRIMES = [0x01000193, 0x5bd1e995, 0xcc9e2d51, 0x1b873593];

/** Four multiplicative hashes side by side, each with the finish of MurmurHash3. */
function hash128(text: string): string {
  return SEEDS.map((seed, lane) => {
    let hash = seed ^ text.length;
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), PRIMES[lane] as number);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0).toString(16).padStart(8, "0");
  }).join("");
}
