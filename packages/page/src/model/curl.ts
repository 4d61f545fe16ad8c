/** An event as the curl command that sends it again, with `$KEY` in place of the source's key. */

export interface CurlOf {
  readonly event: unknown;
  /** Whose API the event's source speaks. */
  readonly protocol: string;
  /** The relay's address for events. */
  readonly intake: string;
}

export function curlOf({ event, protocol, intake }: CurlOf): string {
  const { path, authorization, body } = requestOf(event, protocol);
  const url = `${intake}${path}`;
  const lines = [
    `curl ${quoted(url)}`,
    ...(authorization === "" ? [] : [authorization]),
    "-H 'content-type: application/json'",
    `-d ${quoted(JSON.stringify(body)).replaceAll(KEY, `'"$KEY"'`)}`,
  ];
  return lines.join(" \\\n  ");
}

interface CurlRequest {
  readonly path: string;
  readonly authorization: string;
  readonly body: unknown;
}

/** Where the key is a part of the body, the shell puts it in. */
const KEY = "WAYBILL_KEY_HERE";
const BEARER = '-H "authorization: Bearer $KEY"';

/** As each vendor's own clients send one event. */
function requestOf(event: unknown, protocol: string): CurlRequest {
  switch (protocol) {
    case "posthog":
      return { path: "/batch", authorization: "", body: { api_key: KEY, batch: [event] } };
    case "amplitude":
      return { path: "/2/httpapi", authorization: "", body: { api_key: KEY, events: [event] } };
    case "mixpanel":
      return { path: "/import", authorization: '-u "$KEY:"', body: [event] };
    case "getfluxly":
      return { path: "/v1/events", authorization: BEARER, body: event };
    case "letter":
      return { path: "/v1/batch", authorization: BEARER, body: { batch: [event] } };
    case "valued":
      return { path: "/events", authorization: BEARER, body: event };
    case "launchdarkly":
      return { path: "/bulk", authorization: '-H "authorization: $KEY"', body: [event] };
    case "trophy":
      return { path: "/metrics", authorization: '-H "x-api-key: $KEY"', body: event };
    default:
      return { path: "/v1/batch", authorization: '-u "$KEY:"', body: { batch: [event] } };
  }
}

/** For a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
