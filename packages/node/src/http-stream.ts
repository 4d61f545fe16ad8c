/** Answers that are read as they come: streams, which have no end. */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type { HttpRequest, HttpResponse } from "@waybill/core";
import { bodyBytes, headersOf, transportError, writeBody } from "./transport.ts";

export interface HttpStream extends Pick<HttpResponse, "status" | "headers"> {
  /**
   * Read no faster than they are taken; who takes no more of them has the connection closed. Throws
   * when it breaks off before the answer's end, and when the request's signal aborts.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * As a `Transport`, but resolves once the head of the answer has come. The signal ends its body
 * too.
 */
export type OpenHttpStream = (request: HttpRequest, signal: AbortSignal) => Promise<HttpStream>;

/** Each has a connection of its own. */
export const openHttpStream: OpenHttpStream = (request, signal) =>
  new Promise((resolve, reject) => {
    const { url, method, headers, body } = request;
    const open = url.startsWith("https:") ? https.request : http.request;
    const outgoing = open(url, {
      agent: false,
      method,
      headers: { ...headers, "content-length": bodyBytes(request) },
      signal,
    });
    outgoing.on("socket", (socket: Socket) => socket.unref());
    // After the head it is the body that fails.
    outgoing.on("error", (error) => reject(transportError(request, error)));
    outgoing.on("response", (incoming: IncomingMessage) =>
      resolve({ status: incoming.statusCode ?? 0, headers: headersOf(incoming), chunks: incoming }),
    );
    writeBody(outgoing, body);
  });
