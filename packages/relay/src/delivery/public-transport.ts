/**
 * Requests to public addresses alone; a refusal names the setting that allows others, so that
 * whoever reads it knows what to do.
 */
import { type Transport, WaybillError } from "@waybill/core";
import { createNodeTransport, type NodeTransport, publicAddresses } from "@waybill/node";

const REFUSED = "private_address";
const ALLOWED_BY = "network.allowPrivateAddresses: true";

export function createPublicTransport(): NodeTransport {
  const transport = createNodeTransport({ addresses: publicAddresses });
  const explained: Transport = (request, signal) => transport(request, signal).catch(explain);
  return Object.assign(explained, { close: () => transport.close() });
}

function explain(error: unknown): never {
  if (!(error instanceof WaybillError) || error.reason !== REFUSED) throw error;
  throw new WaybillError(error.code, `${error.message} (${ALLOWED_BY} allows it)`, {
    reason: REFUSED,
    retryable: error.retryable,
    cause: error,
  });
}
