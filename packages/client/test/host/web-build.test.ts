/**
 * Every client in the builds for browsers and workers, with `fetch` and nothing of Node: each
 * delivers an event.
 */
import { emulators } from "@waybill/testing";
import { describe, expect, test } from "vitest";
import { bundle, start, type WebPlatform } from "../lib/web-build.ts";

const PLATFORMS = [
  ["browser", { document: {}, navigator: { userAgent: "Mozilla/5.0" } }],
  ["worker", { navigator: { userAgent: "Mozilla/5.0" }, importScripts: () => undefined }],
  ["workerd", { navigator: { userAgent: "Cloudflare-Workers" } }],
] as const;

describe.each(PLATFORMS)("in the build for %s", (condition, globals) => {
  const script = bundle(condition);
  const setUp = async (): Promise<WebPlatform> => start(await script, globals);

  test("the script has every entry point, where nothing of Node is", async () => {
    const { entries, run } = await setUp();
    expect(run("[typeof process, typeof require, typeof Buffer, typeof setImmediate].join()")).toBe(
      "undefined,undefined,undefined,undefined",
    );
    expect(Object.keys(entries).toSorted()).toEqual([
      "getfluxly",
      "launchdarkly",
      "letter",
      "trophy",
      "valued",
      "waybill",
    ]);
  });

  test("createClient delivers to every destination, by its timer and by close", async () => {
    const { entries, clock, requests, serve } = await setUp();
    const vendors = {
      segment: new emulators.SegmentEmulator({}),
      letter: new emulators.LetterEmulator({}),
      getfluxly: new emulators.GetFluxlyEmulator({}),
      trophy: new emulators.TrophyEmulator({}),
      valued: new emulators.ValuedEmulator({}),
    };
    let arrived = (): void => undefined;
    const first = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    for (const [name, emulator] of Object.entries(vendors)) serve(`http://${name}.test`, emulator.handle);
    serve("http://segment.test", (request) => {
      arrived();
      return vendors.segment.handle(request);
    });
    const errors: unknown[] = [];
    const client = entries.waybill.createClient({
      destinations: [
        entries.waybill.segment({ writeKey: "w", url: "http://segment.test" }),
        entries.letter.letter({ apiKey: "lt_live_1", url: "http://letter.test" }),
        entries.getfluxly.getfluxly({ token: "gflux_pub_1", url: "http://getfluxly.test" }),
        entries.trophy.trophy({ apiKey: "k", url: "http://trophy.test/v1" }),
        entries.valued.valued({ token: "t", url: "http://valued.test/events" }),
      ],
      onError: (error) => errors.push(error),
    });
    client.track({ userId: "ü", event: "Signed Up", properties: { value: 3 } });
    expect(requests).toEqual([]);
    await clock.advance(250);
    await first;
    client.track({ userId: "ü", event: "Signed Up", properties: { value: 4 } });
    expect(await client.close()).toEqual({ delivered: 10, rejected: 0, dropped: 0, left: 0 });
    expect(errors).toEqual([]);
    expect(vendors.segment.events.map(({ event }) => event)).toMatchObject([{ userId: "ü" }, { userId: "ü" }]);
    expect(vendors.letter.events).toMatchObject([{ event: "Signed Up" }, { event: "Signed Up" }]);
    expect(vendors.getfluxly.events).toHaveLength(2);
    expect(vendors.trophy.total("ü", "signed-up")).toBe(7);
    expect(vendors.valued.events).toHaveLength(2);
  });

  test("Letter's client", async () => {
    const { entries, serve } = await setUp();
    const emulator = new emulators.LetterEmulator({});
    serve("http://letter.test", emulator.handle);
    const letter = new entries.letter.LetterClient({ apiKey: "lt_live_1", baseUrl: "http://letter.test" });
    letter.track({ userId: "u", event: "Signed Up" });
    await letter.close();
    expect(emulator.events).toMatchObject([{ userId: "u", event: "Signed Up" }]);
  });

  test("GetFluxly's client", async () => {
    const { entries, serve } = await setUp();
    const emulator = new emulators.GetFluxlyEmulator({});
    serve("http://getfluxly.test", emulator.handle);
    const getfluxly = new entries.getfluxly.GetFluxlyClient({ token: "gflux_pub_1", apiHost: "http://getfluxly.test" });
    getfluxly.track({ event: "signed_up", userId: "u" });
    await getfluxly.close();
    expect(emulator.events).toMatchObject([{ event: "signed_up" }]);
  });

  test("GetFluxly's client with a server key: refused in a page, which strangers read, and taken in a worker", async () => {
    const { entries, serve } = await setUp();
    const emulator = new emulators.GetFluxlyEmulator({});
    serve("http://getfluxly.test", emulator.handle);
    const make = () =>
      new entries.getfluxly.GetFluxlyClient({ token: "gflux_secret_1", apiHost: "http://getfluxly.test" });
    if (condition === "browser") {
      expect(make).toThrow("server key");
      return;
    }
    const getfluxly = make();
    getfluxly.track({ event: "by_a_worker", userId: "u" });
    await getfluxly.close();
    expect(emulator.events).toMatchObject([{ event: "by_a_worker" }]);
  });

  test("Trophy's client, with a call that has a body and one that has none", async () => {
    const { entries, requests, serve } = await setUp();
    const emulator = new emulators.TrophyEmulator({});
    serve("http://trophy.test", emulator.handle);
    const trophy = new entries.trophy.TrophyClient({ apiKey: "k", baseUrl: "http://trophy.test/v1" });
    expect(await trophy.metrics.event({ key: "words", user: { id: "u" }, value: 2 })).toMatchObject({ total: 2 });
    expect(await trophy.users.get({ id: "u" })).toMatchObject({ id: "u" });
    expect(requests).toEqual(["POST http://trophy.test/v1/metrics/words/event", "GET http://trophy.test/v1/users/u"]);
    await expect(trophy.users.get({ id: "nobody" })).rejects.toBeInstanceOf(entries.trophy.NotFoundError);
  });

  test("Valued's client, its global scope and a scope that is bound; an asynchronous scope is refused", async () => {
    const { entries, serve } = await setUp();
    const emulator = new emulators.ValuedEmulator({});
    serve("http://valued.test", emulator.handle);
    const { Valued, Scope, Connection } = entries.valued;
    const client = Valued.connect("token", "http://valued.test/events");
    expect(client.connection).toBeInstanceOf(Connection);
    Valued.with({ "user.id": 1 }, () => Valued.action("global"));
    const bound = Valued.bind({ "user.id": 2 });
    await Promise.resolve();
    bound.action("bound");
    new Scope(client, { "user.id": 3 }).action("own");
    expect(() => Valued.with({ "user.id": 4 }, async () => undefined)).toThrow("synchronous functions only");
    expect(() => Valued.set("user.id", 5)).toThrow("is set within with() only");
    await client.close();
    expect(Object.fromEntries(emulator.events.map(({ key, user }) => [key, user]))).toEqual({
      global: { id: 1 },
      bound: { id: 2 },
      own: { id: 3 },
    });
  });

  test("LaunchDarkly's publisher", async () => {
    const { entries, serve } = await setUp();
    const emulator = new emulators.LaunchDarklyEmulator({});
    serve("http://launchdarkly.test", emulator.handle);
    const publisher = new entries.launchdarkly.HttpEventPublisher(
      { kind: "sdkKey", value: "sdk-1" },
      { uri: "http://launchdarkly.test" },
    );
    publisher.publish({ schemaVersion: 4 }, { kind: "custom" });
    await publisher.flush();
    await publisher.close();
    expect(emulator.payloads.map(({ body }) => body)).toEqual(['[{"kind":"custom"}]']);
  });
});
