import { WaybillError } from "@waybill/core";
import { expect, test } from "vitest";
import { takeGivenSockets } from "../../src/lifecycle/given-sockets.ts";

const PID = 42;

const given = (fds: string, names?: string): Record<string, string> => ({
  LISTEN_PID: String(PID),
  LISTEN_FDS: fds,
  ...(names === undefined ? {} : { LISTEN_FDNAMES: names }),
});

test("sockets are known by their names, from file descriptor 3 on", () => {
  expect(takeGivenSockets(given("2", "admin:intake"), PID)).toEqual({ admin: 3, intake: 4 });
  expect(takeGivenSockets(given("1", "admin"), PID)).toEqual({ admin: 3 });
});

test("without names the first socket is the intake's, the second one the admin API's", () => {
  expect(takeGivenSockets(given("1"), PID)).toEqual({ intake: 3 });
  expect(takeGivenSockets(given("2"), PID)).toEqual({ intake: 3, admin: 4 });
});

test("what is for another process counts as nothing", () => {
  expect(takeGivenSockets({ ...given("1", "intake"), LISTEN_PID: "43" }, PID)).toEqual({});
  expect(takeGivenSockets({ LISTEN_FDS: "1" }, PID)).toEqual({});
  expect(takeGivenSockets(given("0", ""), PID)).toEqual({});
  expect(takeGivenSockets({}, PID)).toEqual({});
});

test.each([given("1", "intake"), given("1", "smtp"), { ...given("1"), LISTEN_PID: "43" }])(
  "the variables are removed, whatever they are: %o",
  (variables) => {
    const env = { ...variables, PATH: "/bin" };
    try {
      takeGivenSockets(env, PID);
    } catch {
      // That is another test's.
    }
    expect(env).toEqual({ PATH: "/bin" });
  },
);

test.each([
  [given("1", "waybill.socket"), 'one has the name "waybill.socket"'],
  [given("2", "intake:intake"), "two have the name intake"],
  [given("2", "intake"), "there are 2, with names for 1"],
  [given("3"), "there are 3, with names for 2"],
  [given("many"), 'LISTEN_FDS is "many" and not a number'],
])("%o is refused, and the error tells why and what to do", (env, fault) => {
  const take = (): unknown => takeGivenSockets({ ...env }, PID);
  expect(take).toThrow(fault);
  expect(take).toThrow(WaybillError);
  expect(take).toThrow(
    expect.objectContaining({
      code: "WAYBILL_LISTEN",
      hint: expect.stringContaining("FileDescriptorName=intake") as string,
    }) as Error,
  );
});
