import { createLogger } from "@waybill/relay";
import { expect, test } from "vitest";

test("a log line is one line of JSON, and steers no terminal, whatever a vendor said", () => {
  const lines: string[] = [];
  const logger = createLogger("info", { write: (line) => void lines.push(line) });
  const reason = '\u001b[2J\n{"forged":1}\u009b31m\u202e\u2028x\u007f';
  logger.warn({ reason }, reason);
  logger.debug("left out");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^\{[^\p{Cc}\u2028\u202e]*\}\n$/u);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "warn", reason, msg: reason });
});
