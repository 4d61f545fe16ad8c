/**
 * Sockets that the service manager listens on and passes to us: they stay open while one relay ends
 * and the next one starts, and connections wait in them instead of being refused.
 *
 * The protocol is systemd's (sd_listen_fds(3), read 2026-11-22): the sockets are the file
 * descriptors from 3 on, `LISTEN_FDS` of them, for the process `LISTEN_PID`; `LISTEN_FDNAMES` has a
 * name for each, with colons between them.
 */
import { WaybillError } from "@waybill/core";

/** File descriptors by the port that they stand for. Absent: the relay listens by itself. */
export interface GivenSockets {
  readonly intake?: number;
  readonly admin?: number;
}

const FIRST_FD = 3;
/** In their order when they have no names. */
const NAMES = ["intake", "admin"] as const;
const HINT = "The unit of each socket has FileDescriptorName=intake or FileDescriptorName=admin.";

/**
 * Takes what the variables tell, and removes them: no process that this one starts may believe
 * them. Those for another process count as none.
 *
 * **Errors**: `WAYBILL_LISTEN` when a socket has no name that is known, or there are two of one.
 */
export function takeGivenSockets(env: Record<string, string | undefined>, pid: number): GivenSockets {
  const { LISTEN_PID: forPid, LISTEN_FDS: count = "", LISTEN_FDNAMES: names } = env;
  delete env["LISTEN_PID"];
  delete env["LISTEN_FDS"];
  delete env["LISTEN_FDNAMES"];
  if (forPid !== String(pid) || count === "") return {};
  if (!/^\d{1,4}$/.test(count)) throw wrong(`LISTEN_FDS is ${JSON.stringify(count)} and not a number`);
  if (Number(count) === 0) return {};
  const named = names === undefined ? NAMES.slice(0, Number(count)) : names.split(":");
  if (named.length !== Number(count)) throw wrong(`there are ${count}, with names for ${named.length}`);
  return socketsOf(named);
}

function socketsOf(named: readonly string[]): GivenSockets {
  const sockets: { -readonly [Name in keyof GivenSockets]: GivenSockets[Name] } = {};
  for (const [index, name] of named.entries()) {
    const known = NAMES.find((one) => one === name);
    if (known === undefined) throw wrong(`one has the name ${JSON.stringify(name)}, which is not known`);
    if (sockets[known] !== undefined) throw wrong(`two have the name ${known}`);
    sockets[known] = FIRST_FD + index;
  }
  return sockets;
}

function wrong(fault: string): WaybillError {
  return new WaybillError("WAYBILL_LISTEN", `The sockets from the service manager cannot be used: ${fault}`, {
    reason: "LISTEN_FDS",
    hint: HINT,
  });
}
