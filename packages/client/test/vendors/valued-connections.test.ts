/** Valued's client on Node's own transport, at a server that closes connections as it likes. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ValuedClient } from "waybill/valued";

test("an event is not lost because the server closes a connection that has served one: each has its own", async () => {
  const sockets: Socket[] = [];
  let taken = 0;
  const server = createServer((socket) => {
    sockets.push(socket);
    let requests = 0;
    // Without a word of `Keep-Alive` or `Connection: close`, as proxies do after an idle time.
    socket.on("data", (data) => {
      if (!String(data).includes("POST ")) return;
      if (++requests > 1) return void socket.destroy();
      taken += 1;
      socket.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}");
    });
    socket.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const errors: string[] = [];
  const onError = ({ message }: Error): void => void errors.push(message);
  const client = new ValuedClient("token", `http://127.0.0.1:${port}/events`, { onError });
  for (let event = 0; event < 5; event++) {
    client.action("a", { "user.id": event });
    await client.flush();
  }
  expect([errors, taken, sockets.length]).toEqual([[], 5, 5]);
});
