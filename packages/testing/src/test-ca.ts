/**
 * A CA and certificates for tests, made anew in each run: X.509 by hand, since Node can read
 * certificates and not make them.
 */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** What a server shows, and the key that goes with it. */
export interface Identity {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

export interface TestCa {
  /** PEM; what clients trust. */
  readonly cert: string;
  /** A certificate for a DNS name, with a new P-256 key, signed by the CA. */
  issue(name: string): Identity;
}

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OID = 0x06;
const UTF8 = 0x0c;
const TIME = 0x18;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const DNS_NAME = 0x82;
const BOOLEAN_TRUE = Buffer.from([0x01, 0x01, 0xff]);
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03]);
const BASIC_CONSTRAINTS = Buffer.from([0x55, 0x1d, 0x13]);
const ALTERNATIVE_NAMES = Buffer.from([0x55, 0x1d, 0x11]);
const ECDSA_WITH_SHA256 = Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]);

let serial = 0;

/**
 * A CA for tests of TLS, with a key of its own. `validTo`: of all its certificates, as
 * `YYYYMMDDHHMMSSZ`; they hold from the year 2000 on.
 */
export function createTestCa(name = "Test CA", validTo = "20990101000000Z"): TestCa {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issue = (subject: string, publicKey: KeyObject, extension: Buffer): string =>
    certificate({ subject, issuer: name, publicKey, signer: keys.privateKey, extension, validTo });
  return {
    cert: issue(name, keys.publicKey, extensionOf(BASIC_CONSTRAINTS, der(SEQUENCE, BOOLEAN_TRUE))),
    issue(host) {
      const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const names = der(SEQUENCE, der(DNS_NAME, Buffer.from(host)));
      return {
        cert: issue(host, own.publicKey, extensionOf(ALTERNATIVE_NAMES, names)),
        key: own.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      };
    },
  };
}

function certificate(of: {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly extension: Buffer;
  readonly validTo: string;
}): string {
  const algorithm = der(SEQUENCE, der(OID, ECDSA_WITH_SHA256));
  const validity = der(SEQUENCE, time("20000101000000Z"), time(of.validTo));
  const signed = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.from([2]))),
    der(INTEGER, Buffer.from([1, ++serial])),
    algorithm,
    nameOf(of.issuer),
    validity,
    nameOf(of.subject),
    of.publicKey.export({ type: "spki", format: "der" }),
    der(EXTENSIONS, der(SEQUENCE, of.extension)),
  );
  const signature = der(BIT_STRING, Buffer.from([0]), sign("sha256", signed, of.signer));
  const base64 = der(SEQUENCE, signed, algorithm, signature).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

function extensionOf(id: Buffer, value: Buffer): Buffer {
  return der(SEQUENCE, der(OID, id), der(OCTET_STRING, value));
}

function nameOf(common: string): Buffer {
  return der(SEQUENCE, der(SET, der(SEQUENCE, der(OID, COMMON_NAME), der(UTF8, Buffer.from(common)))));
}

function time(text: string): Buffer {
  return der(TIME, Buffer.from(text));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}
