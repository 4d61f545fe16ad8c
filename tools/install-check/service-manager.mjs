/**
 * A service manager as systemd is one: listens, and starts the program again whenever it ends. It
 * never accepts a connection: `spawnSync` gives the event loop no turn in between.
 *
 * `node service-manager.mjs intake:admin PROGRAM ARGUMENT...`: prints the ports of the named
 * sockets as JSON, then before each start the process id, and what the program prints.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeSync } from "node:fs";
import { createServer } from "node:net";

const [, , named = "", ...command] = process.argv;
const servers = [];
for (const _ of named === "" ? [] : named.split(":")) {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
}
writeSync(1, `${JSON.stringify({ ports: servers.map((server) => server.address().port) })}\n`);
const script = 'echo "{\\"pid\\":$$}"; export LISTEN_PID=$$; exec "$@"';
for (;;)
  spawnSync("sh", ["-c", script, "sh", ...command], {
    env: { ...process.env, LISTEN_FDS: String(servers.length), LISTEN_FDNAMES: named },
    stdio: ["ignore", "inherit", "inherit", ...servers.map((server) => server._handle.fd)],
  });
