import { printable } from "@waybill/core";
import { expect, test } from "vitest";

test("text without control characters stays as it is", () => {
  expect(printable("400 bad_request: Größe “zu groß” 🚚")).toBe("400 bad_request: Größe “zu groß” 🚚");
});

test("what could steer a terminal or forge a line is escaped", () => {
  expect(printable("\u001b[2Jgone\r\nforged\u009b1m\u007f")).toBe("\\u001b[2Jgone\\u000d\\u000aforged\\u009b1m\\u007f");
  expect(printable("a\u2028b\u202ec")).toBe("a\\u2028b\\u202ec");
});
