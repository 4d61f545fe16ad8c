/** Answers that no honest server gives. */
import { type Behaviour, respond } from "./vendor.ts";

const PIECE = Buffer.alloc(64 * 1024, "x");
const DRIP_MS = 100;

/** A status line and nothing unusual else. */
export function status(line: string): Behaviour {
  return (socket) => {
    socket.write(respond(line, "{}"));
  };
}

/** Writes `head`, then `piece` again and again as fast as it is read. */
export function endless(head: string, piece: string | Buffer = PIECE): Behaviour {
  return (socket) => {
    socket.write(head);
    const write = (): void => {
      while (!socket.destroyed && socket.writable && socket.write(piece));
    };
    socket.on("drain", write);
    write();
  };
}

/** One byte now and then. */
export function drip(text: string): Behaviour {
  return (socket) => {
    let at = 0;
    const timer = setInterval(() => {
      if (socket.destroyed || at >= text.length) return clearInterval(timer);
      socket.write(text[at++] ?? "");
    }, DRIP_MS);
  };
}

export const silent: Behaviour = () => undefined;

export function write(text: string | Buffer): Behaviour {
  return (socket) => {
    socket.write(text);
  };
}

export function writeAndEnd(text: string | Buffer): Behaviour {
  return (socket) => {
    socket.end(text);
  };
}

export const reset: Behaviour = (socket) => {
  socket.resetAndDestroy();
};

/** Each request gets the next of the behaviours. */
export function inTurn(behaviours: readonly Behaviour[]): Behaviour {
  let next = 0;
  return (socket, request) => behaviours[next++ % behaviours.length]?.(socket, request);
}

/**
 * Terminal control: clears the screen, sets the title, reverses writing, and begins lines of its
 * own.
 */
export const ESCAPES: string =
  "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202egnirts\r\nforged: delivered\nproduction/good: delivered";

/** JSON in the shape of no answer, or in one that lies. */
export const WRONG_SHAPES: readonly string[] = [
  "",
  "null",
  "0",
  '"x"',
  "[]",
  "{",
  "<html>",
  '{"rejected":null}',
  '{"rejected":{}}',
  '{"rejected":[null,1,"x",[],{}]}',
  '{"rejected":[{"index":-1,"code":"x","message":"y"},{"index":1e9},{"index":0.5},{"index":"0"},{"index":null}]}',
  '{"rejected":[{"index":9007199254740993,"code":{"toString":null},"message":{"toString":null}}]}',
  '{"rejected":[{"index":0,"code":{"toString":null},"message":{"valueOf":1,"toString":[]}}]}',
  '{"errors":[{"index":0,"error":{"toString":null},"detail":[{"toString":null}]}],"accepted":"x"}',
  '{"errors":{"length":-1}}',
  '{"alias":{"toString":null}}',
  '{"__proto__":{"rejected":[{"index":0}]}}',
  '{"error":{"code":{"toString":null},"message":{"toString":null}}}',
  '{"error":{"toString":null}}',
  '{"code":{"toString":null},"message":{},"detail":[],"reason":{"toString":null}}',
  '{"success":false}',
  '{"status":{"toString":null}}',
  `{"rejected":[${'{"index":0},'.repeat(5_000)}{"index":0}]}`,
  "[".repeat(30_000),
  `${'{"error":'.repeat(5_000)}1${"}".repeat(5_000)}`,
  `{"message":"${"x".repeat(60_000)}"}`,
  "\u0000\u0001\u0002",
  "\ufeff{}",
];
