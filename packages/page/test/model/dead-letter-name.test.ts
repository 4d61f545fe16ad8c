import { expect, test } from "vitest";
import { deadLetterName, logOf } from "../../src/model/dead-letter-name.ts";

test.each([
  ["production", { deadLetterId: 17 }, "17", "production"],
  ["production", { deadLetterId: 17, partition: 3 }, "3:17", "production/3"],
  ["production/3", { deadLetterId: 17, partition: 3 }, "17", "production/3"],
])("in %s, %o is called %s, and its event is in %s", (environment, dead, name, log) => {
  expect([deadLetterName(environment, dead), logOf(environment, dead)]).toEqual([name, log]);
});
