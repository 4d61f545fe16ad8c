import type { HttpRequest, HttpResponse, Transport } from "@waybill/core";
import { expect, test } from "vitest";
import type { ServerHandler, ServerRequest, ServerResponse } from "../server.ts";

/** A transport, and a server that it reaches. */
export interface TransportUnderTest {
  readonly transport: Transport;
  /** Where the handler answers: `http://127.0.0.1:1234`. */
  readonly origin: string;
  /** Where nobody listens. */
  readonly nowhere: string;
  /** Waits for a result; where time is virtual, it lets time pass meanwhile. */
  settled<T>(result: Promise<T>): Promise<T>;
}

/** An implementation of `Transport`. */
export interface TransportImplementation {
  /** Connects a transport to a server that answers with `handler`, for one test. */
  make(handler: ServerHandler): Promise<TransportUnderTest>;
  /** After how many bytes an answer is cut. Absent for a transport that reads all of it. */
  readonly answerMaxBytes?: number;
}

const OK: ServerResponse = { status: 200, headers: {}, body: "ok" };
/**
 * Statuses of final answers, with and without a body, that a transport may treat as special. Not
 * 407 and 421: `fetch` answers the first with an error, and the second with another request.
 */
const STATUSES = [200, 201, 202, 204, 205, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 409, 413, 422];
const SERVER_STATUSES = [425, 429, 500, 501, 502, 503, 504, 511, 599];
const WITHOUT_BODY: readonly number[] = [204, 205, 304];
/** More than a socket gives at once, less than any transport cuts. */
const LONG_CHARACTERS = 6_000;

/** The contract of `Transport`: a new one passes by this call. */
export function testTransport(name: string, { make, answerMaxBytes }: TransportImplementation): void {
  testRequests(name, make);
  testAnswers(name, make);
  testFailures(name, make);
  if (answerMaxBytes !== undefined) testLongAnswers(name, make, answerMaxBytes);
}

type Make = TransportImplementation["make"];

function testRequests(name: string, make: Make): void {
  test(`${name}: a request arrives with its method, path, query, headers and body`, async () => {
    const seen: ServerRequest[] = [];
    const { transport, origin, settled } = await make(recording(seen));
    for (const method of ["POST", "PUT", "PATCH", "DELETE"] as const) {
      const headers = { "content-type": "application/json", "x-a": "b; c" };
      await settled(
        transport(request(`${origin}/v1/a%20b?q=1&r=`, { method, headers, body: ['{"a":', "1}"] }), never()),
      );
    }
    expect(seen.map(({ method }) => method)).toEqual(["POST", "PUT", "PATCH", "DELETE"]);
    for (const { path, headers, body } of seen) {
      expect(path).toBe("/v1/a%20b?q=1&r=");
      expect(headers).toMatchObject({ "content-type": "application/json", "x-a": "b; c" });
      expect(textOf(body)).toBe('{"a":1}');
    }
  });

  test(`${name}: texts go out as UTF-8, bytes as they are, one after another, and stay as they are`, async () => {
    const seen: ServerRequest[] = [];
    const { transport, origin, settled } = await make(recording(seen));
    const bytes = Uint8Array.of(0xff, 0x00, 0x80, 0x0a);
    const body = Object.freeze(["ä€😀", bytes, "", "z"]);
    await settled(transport(Object.freeze(request(origin, { body, headers: Object.freeze({ "x-a": "b" }) })), never()));
    const sent = Buffer.concat([Buffer.from("ä€😀"), bytes, Buffer.from("z")]);
    expect(Buffer.from(seen[0]?.body ?? []).equals(sent)).toBe(true);
    expect(bytes).toEqual(Uint8Array.of(0xff, 0x00, 0x80, 0x0a));
  });

  test(`${name}: a GET has no body`, async () => {
    const seen: ServerRequest[] = [];
    const { transport, origin, settled } = await make(recording(seen));
    expect(await settled(transport(request(`${origin}/a`, { method: "GET" }), never()))).toMatchObject({ body: "ok" });
    expect(seen).toMatchObject([{ method: "GET", path: "/a" }]);
    expect(seen[0]?.body).toHaveLength(0);
  });

  test(`${name}: requests at once each get their own answer`, async () => {
    const { transport, origin, settled } = await make(({ path, body }) => ({
      ...OK,
      body: `${path} ${textOf(body)}`,
      delayMs: Number(path.slice(1)) % 7,
    }));
    const numbers = Array.from({ length: 40 }, (_, index) => index);
    const answers = numbers.map((index) => transport(request(`${origin}/${index}`, { body: [`${index}!`] }), never()));
    const bodies = (await settled(Promise.all(answers))).map(({ body }) => body);
    expect(bodies).toEqual(numbers.map((index) => `/${index} ${index}!`));
  });

  test(`${name}: what HTTP does not allow is refused for good, and nothing is sent`, async () => {
    const seen: ServerRequest[] = [];
    const { transport, origin, settled } = await make(recording(seen));
    for (const headers of [{ "x-a": "b\r\nx-c: d" }, { "x a": "b" }, { "x-a": "€" }])
      await expect(settled(transport(request(origin, { headers }), never()))).rejects.toMatchObject({
        code: "WAYBILL_TRANSPORT",
        reason: "invalid_request",
        retryable: false,
      });
    expect(seen).toEqual([]);
  });
}

function testAnswers(name: string, make: Make): void {
  test(`${name}: any answer is an answer, whatever its status; a redirect is not followed, nothing is tried again`, async () => {
    const seen: ServerRequest[] = [];
    const { transport, origin, settled } = await make((received) => {
      seen.push(received);
      const status = Number(received.path.slice(1));
      const headers = { location: `${origin}/200`, "retry-after": "0", "x-b": "c" };
      return { status, headers, body: WITHOUT_BODY.includes(status) ? "" : `it is ${status}` };
    });
    for (const status of [...STATUSES, ...SERVER_STATUSES]) {
      const answer = await settled(transport(request(`${origin}/${status}`), never()));
      expect(answer.status).toBe(status);
      expect(answer.body).toBe(WITHOUT_BODY.includes(status) ? "" : `it is ${status}`);
      expect(answer.headers["retry-after"]).toBe("0");
    }
    expect(seen).toHaveLength(STATUSES.length + SERVER_STATUSES.length);
  });

  test(`${name}: an answer's headers have lower-case names, its body is text`, async () => {
    const body = "€".repeat(LONG_CHARACTERS);
    const { transport, origin, settled } = await make(() => ({ status: 200, headers: { "X-Big": "Yes" }, body }));
    const answer: HttpResponse = await settled(transport(request(origin), never()));
    expect(answer.headers["x-big"]).toBe("Yes");
    expect(answer.body === body).toBe(true);
    expect(answer.cut ?? false).toBe(false);
  });
}

function testFailures(name: string, make: Make): void {
  test(`${name}: no answer is an error that may be tried again, and that shows no path, query or key`, async () => {
    const { transport, origin, nowhere, settled } = await make(() => ({ ...OK, fault: "reset" }));
    for (const url of [`${nowhere}/secret?key=secret`, `${origin}/secret?key=secret`]) {
      const failure = await settled(
        transport(request(url, { headers: { "x-key": "secret" } }), never()).catch(messageAndMore),
      );
      expect(failure).toMatchObject({ code: "WAYBILL_TRANSPORT", retryable: true });
      expect((failure as { readonly message: string }).message).not.toContain("secret");
    }
  });

  test(`${name}: a request that is aborted ends soon, and the transport is good for others`, async () => {
    const { transport, origin, settled } = await make(({ path }) => (path === "/hang" ? { ...OK, fault: "hang" } : OK));
    for (let round = 0; round < 3; round++) {
      const controller = new AbortController();
      const hanging = transport(request(`${origin}/hang`), controller.signal).catch(messageAndMore);
      expect(await settled(transport(request(origin), never()))).toMatchObject({ status: 200 });
      controller.abort();
      expect(await settled(hanging)).toMatchObject({ code: "WAYBILL_TRANSPORT", retryable: true });
    }
  });

  test(`${name}: a request that was aborted before is not sent`, async () => {
    const seen: ServerRequest[] = [];
    const { transport, origin, settled } = await make(recording(seen));
    const failure = await settled(transport(request(origin), AbortSignal.abort()).catch(messageAndMore));
    expect(failure).toMatchObject({ code: "WAYBILL_TRANSPORT", retryable: true });
    expect(await settled(transport(request(`${origin}/next`), never()))).toMatchObject({ status: 200 });
    expect(seen.map(({ path }) => path)).toEqual(["/next"]);
  });

  test(`${name}: an abort after the answer changes nothing`, async () => {
    const { transport, origin, settled } = await make(() => OK);
    const controller = new AbortController();
    const answer = await settled(transport(request(origin), controller.signal));
    controller.abort();
    expect(answer).toMatchObject({ status: 200, body: "ok" });
    expect(await settled(transport(request(origin), never()))).toMatchObject({ status: 200 });
  });
}

function testLongAnswers(name: string, make: Make, maxBytes: number): void {
  test(`${name}: an answer of ${maxBytes} bytes is whole, a longer one is cut there and says so`, async () => {
    const { transport, origin, settled } = await make(({ path }) => ({
      ...OK,
      body: "a".repeat(Number(path.slice(1))),
    }));
    for (const bytes of [maxBytes, maxBytes + 1, 3 * maxBytes]) {
      const { body, cut = false } = await settled(transport(request(`${origin}/${bytes}`), never()));
      expect([body.length, cut]).toEqual([maxBytes, bytes > maxBytes]);
    }
  });
}

function request(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  const method = more.method ?? "POST";
  return { method, url, headers: {}, body: method === "GET" ? [] : ["x"], ...more };
}

function recording(seen: ServerRequest[]): ServerHandler {
  return (received) => {
    seen.push(received);
    return OK;
  };
}

function never(): AbortSignal {
  return new AbortController().signal;
}

function textOf(body: Uint8Array): string {
  return Buffer.from(body).toString();
}

/** Of an error, as a value: a rejection that nobody waits for yet would end the test. */
function messageAndMore(error: unknown): object {
  const { code, retryable, message } = error as { code?: string; retryable?: boolean; message: string };
  return { code, retryable, message };
}
