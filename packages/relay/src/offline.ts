/** Works on the logs of a relay without the relay: copies them, reads those that are on Kafka. */
export type { CopiedDestination, CopiedEnvironment, CopyProgress } from "./copy/copy-environment.ts";
export type { CopyOptions } from "./copy/copy-log.ts";
export { copyLog } from "./copy/copy-log.ts";
