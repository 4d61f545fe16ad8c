import { expect, test } from "vitest";
import { loadLibrary } from "../src/kafka/library.ts";

test("where the client is not installed the error has the command that installs it", async () => {
  const missing = loadLibrary(() => Promise.reject(new Error("Cannot find package")));
  await expect(missing).rejects.toMatchObject({
    code: "WAYBILL_CONFIG",
    message: "the log on Kafka needs the package @platformatic/kafka, which is not installed",
    hint: "npm install @platformatic/kafka@1.22.0",
  });
});
