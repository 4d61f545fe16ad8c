/**
 * Bugs that a careless change could bring, each to be switched on alone: the simulation must find
 * every one of them, or it proves nothing.
 */
import {
  Account,
  DELIVERED,
  type Disk,
  type HttpResponse,
  OperatedLane,
  type Outcome,
  type Sender,
  type Transport,
} from "@waybill/core";
import { Fates, LaneState, LogBatch } from "@waybill/log";
import { type BodyRefusal, IdWindow } from "@waybill/relay/headless";
import type { PlantedBug } from "./planted-bug.ts";
import { STRAND_BUGS } from "./planted-strands.ts";
import { reconfigured } from "./reconfigured.ts";
import { replaced } from "./replaced.ts";
import { VENDORS } from "./sim-relay.ts";

/** Vendors that gave an answer with such a status. */
const STUCK = new Set<string>();

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "skip-the-fsync",
    what: "the log is written but not synced",
    seed: 1,
    disk: (disk) => ({ ...methodsOf(disk), open: (path, options) => disk.open(path, { ...options, durable: false }) }),
  },
  {
    name: "forget-the-directory-fsync",
    what: "a new segment's name is not made durable",
    seed: 1,
    disk: (disk) => ({ ...methodsOf(disk), syncDirectory: () => Promise.resolve() }),
  },
  {
    name: "ack-before-append",
    what: "the 2xx does not wait for the log",
    seed: 5,
    environment: ({ log }) => {
      const append = log.append.bind(log);
      log.append = (entry) => {
        const { head } = log;
        append(entry).catch(() => undefined);
        return Promise.resolve(head);
      };
    },
  },
  {
    name: "ack-despite-failure",
    what: "an entry that could not be stored is acknowledged",
    seed: 5,
    environment: ({ log }) => {
      const append = log.append.bind(log);
      log.append = (entry) => append(entry).catch(() => log.head);
    },
  },
  {
    name: "cursor-one-too-far",
    what: "the cursor on disk is after an event that was not settled",
    seed: 1,
    patch: () =>
      replaced(
        LaneState.prototype,
        "write",
        (write) =>
          function (this: LaneState<object>, value: object) {
            const { position } = value as { readonly position?: number };
            return write.call(this, position === undefined ? value : { ...value, position: position + 1 });
          },
      ),
  },
  {
    name: "drop-on-401",
    what: "events that meet a bad credential are taken for delivered",
    seed: 5,
    relayTransport: answering((response) => (response.status === 401 ? { ...response, status: 200 } : response)),
  },
  {
    name: "drop-on-503",
    what: "events that meet an outage are taken for delivered",
    seed: 6,
    relayTransport: answering((response) => (response.status === 503 ? { ...response, status: 200 } : response)),
  },
  {
    name: "ignore-partial-rejection",
    what: "events refused inside an accepted batch are taken for delivered",
    seed: 1,
    relayTransport: answering((response) =>
      response.body.includes('"rejected"') ? { ...response, body: '{"success":true}' } : response,
    ),
  },
  {
    name: "new-id-on-retry",
    what: "a repeated request carries new ids",
    seed: 13,
    clientTransport: (transport) => {
      const sent = new Set<string>();
      return (request, signal) => {
        const text = Buffer.concat(request.body.map((chunk) => Buffer.from(chunk as string))).toString();
        const first = /"messageId":"[^"]+"/.exec(text)?.[0] ?? "";
        const body = sent.has(first) ? text.replaceAll('"messageId":"', `"messageId":"${sent.size}-`) : text;
        sent.add(first);
        return transport({ ...request, body: [body] }, signal);
      };
    },
  },
  {
    name: "forget-the-ids",
    what: "a repeated request is stored again",
    seed: 1,
    patch: () => replaced(IdWindow.prototype, "add", () => () => true),
  },
  {
    name: "count-twice",
    what: "a delivery is written into the ledger twice now and then",
    seed: 3,
    patch: () =>
      replaced(
        Account.prototype,
        "settle",
        (settle) =>
          function (this: Account, outcome: Outcome) {
            if (outcome.status === "delivered" && this.settled % 17 === 16) settle.call(this, outcome);
            settle.call(this, outcome);
          },
      ),
  },
  {
    name: "expire-uncounted",
    what: "what retention removes is in no column of the ledger",
    seed: 16,
    patch: () => replaced(Account.prototype, "expire", () => () => undefined),
  },
  {
    name: "reorder",
    what: "a batch leaves back to front",
    seed: 1,
    patch: () => {
      const original = Object.getOwnPropertyDescriptor(LogBatch.prototype, "body") as PropertyDescriptor;
      Object.defineProperty(LogBatch.prototype, "body", {
        configurable: true,
        get(this: LogBatch) {
          const events = Array.from({ length: this.count }, (_, index) => Buffer.from(this.event(index)).toString());
          return [events.reverse().join(",")];
        },
      });
      return () => Object.defineProperty(LogBatch.prototype, "body", original);
    },
  },
  {
    name: "lost-wake-up",
    what: "a lane is not notified of new events now and then",
    seed: 3,
    patch: () => {
      let calls = 0;
      return replaced(
        OperatedLane.prototype,
        "notify",
        (notify) =>
          function (this: OperatedLane) {
            calls += 1;
            if (calls % 3 !== 0) notify.call(this);
          },
      );
    },
  },
  {
    name: "throw-out-of-a-request",
    what: "an encoding that is a name of every object ends the process, or is never answered",
    seed: 2,
    requests: (handle) => (request) => {
      const encoding = request.headers["content-encoding"];
      if (encoding === "__proto__") throw new TypeError("decode is not a function");
      return encoding === "constructor" ? new Promise(() => undefined) : handle(request);
    },
  },
  {
    name: "throw-out-of-an-event",
    what: "an event that a translation throws at stops its lane",
    seed: 3,
    patch: () =>
      replaced(
        OperatedLane.prototype,
        "reconfigure",
        (reconfigure) =>
          function (this: OperatedLane, settings: Parameters<OperatedLane["reconfigure"]>[0]) {
            const { sender } = settings;
            reconfigure.call(this, sender === undefined ? settings : { ...settings, sender: throwing(sender) });
          },
      ),
    environment: reconfigured,
  },
  {
    name: "hostile-status-sticks",
    what: "after a status that is not one every answer of the vendor is taken for a refusal",
    seed: 5,
    // Restarts do not heal it.
    patch: () => () => STUCK.clear(),
    relayTransport: (transport) => async (request, signal) => {
      const response = await transport(request, signal);
      if (response.status < 100 || response.status > 599) STUCK.add(request.url);
      return STUCK.has(request.url) ? { ...response, status: 401 } : response;
    },
  },
  {
    name: "budget-not-given-back",
    what: "what a refused body held is not given back",
    seed: 9,
    bodies: (bodies, maxTotalBytes) => {
      let leakedBytes = 0;
      return {
        get heldBytes() {
          return bodies.heldBytes;
        },
        read(request, done) {
          const bytes = Number(request.headers["content-length"]);
          if (leakedBytes + bytes > maxTotalBytes) {
            (done as Refuse)("overloaded");
            return;
          }
          bodies.read(request, (body: Buffer | BodyRefusal, ...rest) => {
            if (typeof body === "string") leakedBytes += bytes;
            return done(body, ...rest);
          });
        },
      };
    },
  },
  {
    name: "expire-uncounted-while-paused",
    what: "what hard retention takes from a lane that is paused is in no column of the account",
    seed: 3,
    patch: () => {
      const paused = new Set<OperatedLane>();
      const undo = [
        replaced(
          OperatedLane.prototype,
          "pause",
          (pause) =>
            function (this: OperatedLane, ...args: Parameters<OperatedLane["pause"]>) {
              paused.add(this);
              pause.apply(this, args);
            },
        ),
        replaced(
          OperatedLane.prototype,
          "resume",
          (resume) =>
            function (this: OperatedLane) {
              paused.delete(this);
              resume.call(this);
            },
        ),
        replaced(
          Account.prototype,
          "expire",
          (expire) =>
            function (this: Account, events: number) {
              if (paused.size === 0) expire.call(this, events);
            },
        ),
      ];
      return () => {
        for (const one of undo) one();
      };
    },
  },
  {
    name: "left-out-is-delivered",
    what: "what a filter left out is traced as delivered",
    seed: 1,
    patch: () =>
      replaced(
        Fates.prototype,
        "settleAt",
        (settleAt) =>
          function (this: Fates, position, outcome) {
            const isLeftOut = outcome !== "expired" && outcome.status === "dropped";
            settleAt.call(this, position, isLeftOut ? DELIVERED : outcome);
          },
      ),
  },
  {
    name: "fates-forget-the-expired",
    what: "what retention took has no fate",
    seed: 3,
    patch: () => {
      const undo = [
        replaced(
          Fates.prototype,
          "settleAt",
          (settleAt) =>
            function (this: Fates, position, outcome) {
              if (outcome !== "expired") settleAt.call(this, position, outcome);
            },
        ),
        replaced(Fates.prototype, "expireUnread", () => () => undefined),
        replaced(Fates.prototype, "expire", () => () => undefined),
      ];
      return () => {
        for (const one of undo) one();
      };
    },
  },
  {
    name: "removed-in-flight-is-expired",
    what: "what retention removes while it is on its way is traced as expired",
    seed: 16,
    environment: (environment) => {
      for (const index of VENDORS.keys()) {
        const destination = environment.destination(`emulator${index}`);
        if (destination === undefined) continue;
        const outcomeOf = destination.outcomeOf.bind(destination);
        destination.outcomeOf = (position) =>
          position < environment.log.first ? Promise.resolve({ outcome: "expired" }) : outcomeOf(position);
      }
    },
  },
  ...STRAND_BUGS,
];

type Refuse = (refusal: BodyRefusal) => void;

/** Throws where every stage expects a value. */
function throwing(sender: Sender): Sender {
  return {
    send(batch, context) {
      for (let index = 0; index < batch.count; index++)
        if (Buffer.from(batch.event(index) as Uint8Array).includes('"toString":null'))
          throw new TypeError("Cannot convert object to primitive value");
      return sender.send(batch, context);
    },
  };
}

function answering(change: (response: HttpResponse) => HttpResponse): (transport: Transport) => Transport {
  return (transport) => async (request, signal) => change(await transport(request, signal));
}

/** The disk's methods as properties: the simulated one has them on its class. */
function methodsOf(disk: Disk): Disk {
  return {
    open: (path, options) => disk.open(path, options),
    list: (directory) => disk.list(directory),
    makeDirectory: (path) => disk.makeDirectory(path),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
  };
}
