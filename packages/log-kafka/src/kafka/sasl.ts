import type { Callback, Connection, SASLOptions } from "@platformatic/kafka";
import type { Library } from "./library.ts";

export interface KafkaSasl {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  readonly username: string;
  readonly password: string;
}

type Authenticator = NonNullable<SASLOptions["authenticate"]>;
type Authenticate = Parameters<Authenticator>[2];
type Answer = Awaited<ReturnType<Authenticate["async"]>>;

export function saslOptionsOf({ saslPlain, saslScramSha }: Library, sasl: KafkaSasl): SASLOptions {
  const { mechanism, username, password } = sasl;
  const authenticate: Authenticator = (_mechanism, connection, request, _name, _password, _token, callback) => {
    const guarded = guard(request, (error) => callback(error, undefined as never));
    if (mechanism === "PLAIN") {
      saslPlain.authenticate(guarded, connection, username, password, callback);
      return;
    }
    const algorithm = mechanism === "SCRAM-SHA-256" ? "SHA-256" : "SHA-512";
    const { defaultCrypto } = saslScramSha;
    saslScramSha.authenticate(guarded, connection, algorithm, username, password, defaultCrypto, callback);
  };
  return { mechanism, username, password, authenticate };
}

/**
 * What the library throws at an answer that it cannot read would end the process: it is called from
 * a socket.
 */
function guard(request: Authenticate, fail: (error: Error) => void): Authenticate {
  const guarded = (connection: Connection, bytes: Buffer, answered: Callback<Answer>): void => {
    request(connection, bytes, (error, answer) => {
      try {
        answered(error, answer);
      } catch (thrown) {
        fail(thrown as Error);
      }
    });
  };
  // The library calls it, and does not use what else such a request has.
  return guarded as unknown as Authenticate;
}
