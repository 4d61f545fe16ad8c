import type { ServerResponse } from "node:http";

/** An HTTP answer as a value. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** A body that is not text; then `body` is empty. */
  readonly bytes?: Uint8Array;
}

/**
 * A refusal as RFC 9457 `application/problem+json`. `code` is stable; `message` is for people and
 * equals `detail`.
 */
export function problem(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
    body: JSON.stringify({ type: "about:blank", title: code, status, detail: message, success: false, code, message }),
  };
}

export function writeAnswer(response: ServerResponse, { status, headers, body, bytes }: Answer): void {
  const content = bytes ?? body;
  const length = typeof content === "string" ? Buffer.byteLength(content) : content.length;
  response.writeHead(status, { ...headers, "content-length": length }).end(content);
}

export function jsonAnswer(status: number, body: string): Answer {
  return { status, headers: { "content-type": "application/json" }, body };
}

export function writeJson(response: ServerResponse, status: number, value: unknown): void {
  writeAnswer(response, jsonAnswer(status, JSON.stringify(value)));
}
