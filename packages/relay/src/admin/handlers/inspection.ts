/** Handlers of the routes that show single events, and deal with dead letters. */
import type { inspectionRoutes } from "../routes/inspection.ts";
import type { Handlers } from "./call.ts";
import { discard, exportAll, retry, showPage, showReasons } from "./dead-letters.ts";
import { streamTail } from "./tail.ts";
import { showReceipt, showTrace } from "./traces.ts";

export const inspectionHandlers: Handlers<keyof typeof inspectionRoutes> = {
  tail: streamTail,
  trace: showTrace,
  traceReceipt: showReceipt,
  listDeadLetters: showPage,
  listReasons: showReasons,
  exportDeadLetters: exportAll,
  retryDeadLetters: retry,
  discardDeadLetters: discard,
};
