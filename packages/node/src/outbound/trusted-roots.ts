/** Certificates of CAs that are trusted beside those that Node trusts anyway. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import tls, { type SecureContext } from "node:tls";

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** The certificates in a text of PEM, or what is wrong with it. Never quotes it. */
export function certificatesOf(pem: string): { readonly certificates: readonly string[] } | { readonly fault: string } {
  const certificates = pem.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) return { fault: "has no certificate in PEM" };
  for (const [index, certificate] of certificates.entries())
    if (!isCertificate(certificate)) return { fault: `has a certificate that cannot be read, number ${index + 1}` };
  return { certificates };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/** For TLS that trusts `certificates` beside Node's roots and those of `NODE_EXTRA_CA_CERTS`. */
export function trusting(certificates: readonly string[]): SecureContext {
  return tls.createSecureContext({ ca: [...defaultRoots(), ...certificates] });
}

/** Newer versions of Node tell all of them; before, those of the variable are read as Node does. */
function defaultRoots(): readonly string[] {
  const { getCACertificates } = tls as { readonly getCACertificates?: (type: "default") => readonly string[] };
  if (getCACertificates !== undefined) return getCACertificates("default");
  return [...tls.rootCertificates, ...extraRoots(process.env["NODE_EXTRA_CA_CERTS"])];
}

/** Node warns of a file that it cannot read, and goes on without. */
function extraRoots(path: string | undefined): readonly string[] {
  if (path === undefined || path === "") return [];
  try {
    const found = certificatesOf(readFileSync(path, "utf8"));
    return "certificates" in found ? found.certificates : [];
  } catch {
    return [];
  }
}
