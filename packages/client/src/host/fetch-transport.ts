import {
  checkedTransport,
  type HttpRequest,
  type HttpResponse,
  messageOf,
  type Transport,
  WaybillError,
} from "@waybill/core";

/** As on Node: an answer may name each event of a batch. */
const ANSWER_MAX_BYTES_DEFAULT = 256 * 1024;

/**
 * Requests by the platform's `fetch`: browsers, workers, edge runtimes. Reads at most
 * `answerMaxBytes` of an answer, 256 KiB by default; a longer one is cut.
 */
export function createFetchTransport(answerMaxBytes: number = ANSWER_MAX_BYTES_DEFAULT): Transport {
  return checkedTransport(async (request, signal) => {
    try {
      const response = await fetch(request.url, {
        method: request.method,
        headers: request.headers,
        ...bodyOf(request),
        redirect: "manual",
        signal,
      });
      const { status, headers } = response;
      return { status, headers: Object.fromEntries(headers), ...(await readAnswer(response, answerMaxBytes)) };
    } catch (error) {
      throw new WaybillError("WAYBILL_TRANSPORT", `no answer from ${originOf(request.url)}: ${messageOf(error)}`, {
        retryable: true,
        cause: error,
      });
    }
  });
}

/**
 * A Blob takes texts and bytes as they are and knows its length. `fetch` refuses a GET with a body.
 */
function bodyOf({ method, body }: HttpRequest): { readonly body?: Blob } {
  return method === "GET" ? {} : { body: new Blob(body as ConstructorParameters<typeof Blob>[0]) };
}

/** A server cannot make a page hold more than `maxBytes` of what it sends. */
async function readAnswer(response: Response, maxBytes: number): Promise<Pick<HttpResponse, "body" | "cut">> {
  // No body, or a platform that has no streams.
  if (response.body == null) return { body: await response.text() };
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let body = "";
  let room = maxBytes;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    body += decoder.decode(part.value.subarray(0, room), { stream: true });
    room -= part.value.length;
    if (room >= 0) continue;
    // Nobody waits for it: the answer is what had come.
    reader.cancel().catch(() => undefined);
    return { body, cut: true };
  }
  return { body: body + decoder.decode() };
}

/**
 * Without path, query or credentials: it ends up in logs. A path alone is one of the page's own
 * server.
 */
function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "this origin";
}
