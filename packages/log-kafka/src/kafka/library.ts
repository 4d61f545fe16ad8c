import { WaybillError } from "@waybill/core";

/** `@platformatic/kafka`: connections, encoding, and the requests of the protocol. */
export type Library = typeof import("@platformatic/kafka");

const NAME = "@platformatic/kafka";
const CLIENT_VERSION = "1.22.0";

/**
 * Loads the client, which is optional: who keeps the disk does not install it. **Errors**: a
 * `WaybillError` of code `WAYBILL_CONFIG` that names the command which installs it.
 */
export async function loadLibrary(
  load: () => Promise<Library> = () => import("@platformatic/kafka"),
): Promise<Library> {
  try {
    return await load();
  } catch (cause) {
    throw new WaybillError("WAYBILL_CONFIG", `the log on Kafka needs the package ${NAME}, which is not installed`, {
      hint: `npm install ${NAME}@${CLIENT_VERSION}`,
      cause,
    });
  }
}
