/**
 * Secrets as they are in a topic that others may read: AES-256-GCM under a key that is derived from
 * `kafka.sealingKey`. A sealed text is opened only under the name that it was sealed for.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Random } from "@waybill/core";

const ALGORITHM = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export class Sealing {
  readonly #key: Uint8Array;
  readonly #random: Random;

  constructor(sealingKey: string, random: Random) {
    this.#key = new Uint8Array(hkdfSync("sha256", sealingKey, "waybill", "desired state", KEY_BYTES));
    this.#random = random;
  }

  /** Base64 of nonce, tag and cipher text. */
  seal(name: string, text: string): string {
    const nonce = new Uint8Array(NONCE_BYTES);
    this.#random.fill(nonce);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(name));
    const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
  }

  /** `undefined`: it was sealed with another key or for another name, or is damaged. */
  open(name: string, sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, "base64");
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
    try {
      const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(name)).setAuthTag(tag);
      const text = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString();
    } catch {
      return undefined;
    }
  }
}
