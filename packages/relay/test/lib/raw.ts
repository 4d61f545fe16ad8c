import { once } from "node:events";
import type { Socket } from "node:net";
import { onTestFinished } from "vitest";
import { underlying } from "../../src/tls/handshakes.ts";
import { dial, openedBy } from "./tls.ts";
import { until } from "./world.ts";

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A connection on which a test says what it likes. Gone when the test is. */
export class RawConnection {
  readonly socket: Socket;
  text = "";
  isClosed = false;

  private constructor(url: string) {
    this.socket = dial(url);
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => (this.text += text));
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => (this.isClosed = true));
    onTestFinished(() => void this.socket.destroy());
  }

  static async open(url: string): Promise<RawConnection> {
    const connection = new RawConnection(url);
    await once(connection.socket, openedBy(url));
    return connection;
  }

  /** As a client that is killed. */
  reset(): void {
    underlying(this.socket).resetAndDestroy();
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Answers so far, whole ones. */
  get answers(): readonly RawAnswer[] {
    const answers: RawAnswer[] = [];
    let rest = this.text;
    for (;;) {
      const end = rest.indexOf("\r\n\r\n");
      if (end === -1) return answers;
      const head = rest.slice(0, end);
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
      const hasBody = status >= 200 && status !== 204;
      const bodyEnd = end + 4 + (hasBody ? length : 0);
      if (rest.length < bodyEnd) return answers;
      if (status >= 200) answers.push({ status, head, body: rest.slice(end + 4, bodyEnd) });
      rest = rest.slice(bodyEnd);
    }
  }

  /** The next answers; fails when they do not come, be the connection closed or not. */
  async answered(count = 1): Promise<readonly RawAnswer[]> {
    await until(() => this.answers.length >= count || this.isClosed);
    return this.answers;
  }

  async closed(): Promise<void> {
    await until(() => this.isClosed);
  }
}

/** One exchange on a connection of its own. */
export async function exchange(url: string, bytes: string | Uint8Array): Promise<RawAnswer | undefined> {
  const connection = await RawConnection.open(url);
  connection.write(bytes);
  return (await connection.answered())[0];
}

/** A request as text. `host` and, when there is a body, its length are added. */
export function rawRequest(
  line: string,
  headers: Readonly<Record<string, string>> = {},
  body: string | Uint8Array = "",
): Buffer {
  const bytes = Buffer.from(body as string);
  const all = { host: "relay", ...(bytes.length === 0 ? {} : { "content-length": String(bytes.length) }), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${line}\r\n${lines.join("")}\r\n`, "latin1"), bytes]);
}
