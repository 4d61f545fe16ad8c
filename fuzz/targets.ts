import type { Target } from "./target.ts";
import { answers } from "./targets/answers.ts";
import { config } from "./targets/config.ts";
import { events } from "./targets/events.ts";
import { files } from "./targets/files.ts";
import { framing } from "./targets/framing.ts";
import { gzip } from "./targets/gzip.ts";
import { headers, pixel } from "./targets/headers.ts";
import { reload } from "./targets/reload.ts";
import { requests } from "./targets/requests.ts";
import { sockets } from "./targets/sockets.ts";

/** Everything that is fuzzed, by the name of its corpus. */
export const TARGETS: Readonly<Record<string, Target>> = {
  framing,
  gzip,
  config,
  pixel,
  headers,
  requests,
  events,
  answers,
  sockets,
  reload,
  files,
};
