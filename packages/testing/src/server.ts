/** How a vendor's server is written here: a function from request to response, without sockets. */
export interface ServerRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Decoded. */
  readonly body: Uint8Array;
}

export interface ServerResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** What the network does with it; the HTTP shell and the simulated network obey. */
  readonly fault?: "reset" | "hang";
  /** Answer only after this time. */
  readonly delayMs?: number;
}

export type ServerHandler = (request: ServerRequest) => Promise<ServerResponse> | ServerResponse;
