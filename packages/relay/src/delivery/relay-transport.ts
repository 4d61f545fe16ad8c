/**
 * HTTP to destinations. What stops a request and is for an operator to change names the setting, so
 * that whoever reads the reason knows what to do.
 */
import { type Transport, WaybillError } from "@waybill/core";
import { createOutboundTransport, type NodeTransport, type OutboundTransportOptions } from "@waybill/node";

const REFUSED = "private_address";
const ALLOWED_BY = "network.allowPrivateAddresses: true allows it";
/** What Node finds of a certificate when nobody that it trusts has signed it. */
const UNTRUSTED: readonly unknown[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];
const TRUSTED_BY = "the option ca of the destination, or NODE_EXTRA_CA_CERTS, names the PEM file of a CA to trust";

export function createRelayTransport(options: OutboundTransportOptions): NodeTransport {
  const transport = createOutboundTransport(options);
  const explained: Transport = (request, signal) => transport(request, signal).catch(explain);
  return Object.assign(explained, { close: () => transport.close() });
}

function explain(error: unknown): never {
  const remedy = error instanceof WaybillError ? remedyOf(error) : undefined;
  if (!(error instanceof WaybillError) || remedy === undefined) throw error;
  throw new WaybillError(error.code, `${error.message} (${remedy})`, {
    ...(error.reason === undefined ? {} : { reason: error.reason }),
    retryable: error.retryable,
    cause: error,
  });
}

function remedyOf({ reason, cause }: WaybillError): string | undefined {
  if (reason === REFUSED) return ALLOWED_BY;
  return UNTRUSTED.includes((cause as NodeJS.ErrnoException | undefined)?.code) ? TRUSTED_BY : undefined;
}
