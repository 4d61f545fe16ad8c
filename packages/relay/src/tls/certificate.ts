/** A certificate with its key, as a server shows it: what is wrong with one is a value. */
import { constants, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { messageOf } from "@waybill/core";
import { certificatesOf } from "@waybill/node";

/** Paths of files in PEM. */
export interface TlsFiles {
  /** The server's own certificate first, then those between it and its CA. */
  readonly cert: string;
  /** Without a passphrase. */
  readonly key: string;
}

export interface Certificate {
  /** For a server, and for `setSecureContext` of one. */
  readonly options: SecureContextOptions;
  /** Epoch ms. */
  readonly validFrom: number;
  readonly validTo: number;
  /** Of the server's own, SHA-256 in hex. */
  readonly fingerprint: string;
}

export interface CertificateFault {
  readonly of: keyof TlsFiles;
  /** Never quotes a file. */
  readonly fault: string;
}

export function certificateFrom(certPem: string, keyPem: string): Certificate | CertificateFault {
  const found = certificatesOf(certPem);
  if ("fault" in found) return { of: "cert", fault: found.fault };
  const key = privateKeyFrom(keyPem);
  if ("fault" in key) return { of: "key", fault: key.fault };
  const [own, ...others] = found.certificates.map((one) => new X509Certificate(one)) as [X509Certificate];
  if (!own.checkPrivateKey(key))
    return others.some((one) => (one as X509Certificate).checkPrivateKey(key))
      ? { of: "cert", fault: "has the server's own certificate not as its first" }
      : { of: "key", fault: "is not the key of the certificate" };
  const options: SecureContextOptions = {
    cert: found.certificates.join("\n"),
    key: keyPem,
    minVersion: "TLSv1.2",
    // A client that begins handshake after handshake would have us work for nothing.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
  try {
    createSecureContext(options);
  } catch (error) {
    return { of: "cert", fault: `is refused by TLS: ${messageOf(error).replace(/^.*:/, "")}` };
  }
  return {
    options,
    validFrom: Date.parse(own.validFrom),
    validTo: Date.parse(own.validTo),
    fingerprint: own.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

function privateKeyFrom(pem: string): KeyObject | { readonly fault: string } {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const isEncrypted = (error as NodeJS.ErrnoException).code === "ERR_MISSING_PASSPHRASE" || /ENCRYPTED/.test(pem);
    return { fault: isEncrypted ? "has a passphrase, which cannot be given" : "has no private key in PEM" };
  }
}
