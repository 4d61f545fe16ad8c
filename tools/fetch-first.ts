/** For tests that need what is fetched: without it they are skipped, with the reason. */
import { beforeAll, beforeEach } from "vitest";
import { INSTALL_MAX_MS } from "./fetches.ts";

/** `fetch` resolves to why it could not be had, else to `undefined`. */
export function fetchFirst(fetch: () => Promise<string | undefined>): void {
  let missing: string | undefined;
  beforeAll(async () => {
    missing = await fetch();
    if (missing !== undefined) process.stdout.write(`skipped: ${missing}\n`);
  }, INSTALL_MAX_MS);
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });
}
