import type { ServerResponse } from "node:http";

/** An HTTP answer as a value. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A refusal as RFC 9457 `application/problem+json`. `code` is stable; `message` is for people and equals `detail`. */
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

export function writeAnswer(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
}

export function writeJson(response: ServerResponse, status: number, value: unknown): void {
  writeAnswer(response, { status, headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
}
