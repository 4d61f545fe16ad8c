import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse as NodeResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { ServerHandler, ServerResponse } from "../server.ts";

export interface StartedServer {
  readonly url: string;
  /** Ends every connection. */
  close(): Promise<void>;
}

const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
};

export interface ListenOptions {
  /** Default: one that is free. */
  readonly port?: number;
  /** The address, such as `0.0.0.0` in a container. Default: `127.0.0.1`. */
  readonly host?: string;
}

/** Serves a handler over real HTTP; faults become real resets and silences. */
export async function startServer(
  handler: ServerHandler,
  { port: wanted = 0, host = "127.0.0.1" }: ListenOptions = {},
): Promise<StartedServer> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("error", () => undefined);
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      void answer(request, response, Buffer.concat(chunks), handler);
    });
  });
  server.listen(wanted, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: NodeResponse,
  raw: Buffer,
  handler: ServerHandler,
): Promise<void> {
  let result: ServerResponse;
  try {
    const decode = DECODERS[request.headers["content-encoding"] ?? ""];
    result = await handler({
      method: request.method ?? "",
      path: request.url ?? "/",
      headers: headersOf(request),
      body: decode === undefined ? raw : decode(raw),
    });
  } catch (error) {
    result = { status: 500, headers: {}, body: String(error) };
  }
  if (result.fault === "hang") return;
  if (result.fault === "reset") {
    request.socket.resetAndDestroy();
    return;
  }
  const send = (): void => {
    response.writeHead(result.status, result.headers).end(result.body);
  };
  if (result.delayMs === undefined) send();
  else setTimeout(send, result.delayMs).unref();
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) if (value !== undefined) headers[name] = String(value);
  return headers;
}
