import { type HttpRequest, messageOf, type Transport, WaybillError } from "@waybill/core";

/** Requests by the platform's `fetch`: browsers, workers, edge runtimes. */
export const fetchTransport: Transport = async (request, signal) => {
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body: bodyOf(request),
      redirect: "manual",
      signal,
    });
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() };
  } catch (error) {
    throw new WaybillError("WAYBILL_TRANSPORT", `no answer from ${new URL(request.url).origin}: ${messageOf(error)}`, {
      retryable: true,
      cause: error,
    });
  }
};

/** A Blob takes texts and bytes as they are and knows its length. */
function bodyOf({ body }: HttpRequest): Blob {
  return new Blob(body as ConstructorParameters<typeof Blob>[0]);
}
