/** What a caller of the relay may get of a vendor's answer, and what a path to a vendor may be. */
import type { HttpResponse } from "@waybill/core";

const FIRST_REFUSAL = 300;
/** Content types that no browser runs. */
const PASSED_ON = /^(?:application\/(?:[\w.+-]*\+)?json|text\/plain)(?:\s*;\s*charset=[\w-]+)?$/i;

/**
 * A vendor's answer as it may be given to a caller of the relay: its status, its body, and of its
 * headers the content type, if that is one of data. Anything else would be the vendor's page under
 * the relay's name.
 */
export function forCaller({ status, headers, body, cut }: HttpResponse): HttpResponse {
  // Half of a JSON text is not JSON. All that is known is whether the vendor took the request.
  if (cut === true)
    return answerOf(status, status < FIRST_REFUSAL ? { stored: true } : { error: "The answer is too long." });
  const type = headers["content-type"];
  const passed = type === undefined || PASSED_ON.test(type) ? type : "text/plain; charset=utf-8";
  return { status, headers: passed === undefined ? {} : { "content-type": passed }, body };
}

/** An answer of ours where the vendor gave none. */
export function answerOf(status: number, body: object): HttpResponse {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

/**
 * Whether a path stays where it says: `..`, in any spelling that a URL knows, would lead to other
 * paths of the vendor's, with its key.
 */
export function isPlainPath(path: string): boolean {
  if (/[^!-~]|[\\#]/.test(path)) return false;
  const [before = ""] = path.split("?", 1);
  return !before.split("/").some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment));
}

export function isRedirect({ status }: HttpResponse): boolean {
  return status >= 300 && status < 400;
}
