/** LaunchDarkly's SDKs of the browser, each in a page of another origin than the relay's. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect } from "vitest";
import type { Scenario } from "../scenario.ts";
import { fileOf } from "../setup.ts";
import type { Stage } from "../stage.ts";
import { type LaunchDarkly, NEVER_MS, NEVER_S, setUp, trackThroughRestart, userOf } from "./launchdarkly.ts";

const SILENT = "{ logger: { error() {}, warn() {}, info() {}, debug() {} } }";
const NEEDS: readonly string[] = ["jsdom"];
/** The oldest SDK has no promise to wait for. */
const STARTED_MS = 300;

async function runMinified(stage: Stage, name: string, schema: string): Promise<void> {
  const world = await setUp(stage);
  const window = stage.openPage();
  window.eval(fileOf(`${name}/dist/ldclient.min.js`));
  const options = {
    baseUrl: world.flagsUrl,
    streamUrl: world.flagsUrl,
    eventsUrl: world.relay.url,
    flushInterval: NEVER_MS,
    bootstrap: {},
    sendLDHeaders: true,
  };
  const client = window.eval(
    `LDClient.initialize("env-in", ${JSON.stringify(userOf(schema))}, Object.assign(${JSON.stringify(options)}, ${SILENT}))`,
  ) as LaunchDarkly;
  await client.waitForInitialization?.(10);
  await trackThroughRestart(client, { stage, world });
  expect(world.flags.payloads[0]).toMatchObject({
    path: "/events/bulk/env-out",
    headers: { "x-launchdarkly-event-schema": schema },
  });
}

async function runBundled(stage: Stage): Promise<void> {
  const world = await setUp(stage);
  const window = stage.openPage();
  // jsdom has no fetch; this one says where the page is, as a browser does.
  const pageFetch = (input: string, init?: RequestInit): Promise<Response> =>
    fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string>), origin: "http://page.test" } });
  Object.assign(window, { fetch: pageFetch, structuredClone, TextEncoder, crypto });
  const { outputFiles } = await build({
    stdin: {
      contents: 'import { createClient } from "@launchdarkly/js-client-sdk"; window.LD = { createClient };',
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    write: false,
    format: "iife",
    logLevel: "error",
  });
  window.eval(outputFiles[0]?.text ?? "");
  const options = {
    baseUri: world.flagsUrl,
    streamUri: world.flagsUrl,
    eventsUri: world.relay.url,
    flushInterval: NEVER_S,
    streaming: false,
  };
  const client = window.eval(
    `LD.createClient("env-in", { kind: "user", key: "u" }, Object.assign(${JSON.stringify(options)}, ${SILENT}))`,
  ) as LaunchDarkly & { start(options: object): Promise<unknown> };
  await client.start({ timeout: 5 });
  await trackThroughRestart(client, { stage, world });
  expect(world.flags.payloads[0]?.path).toBe("/events/bulk/env-out");
}

async function runPixel(stage: Stage): Promise<void> {
  const world = await setUp(stage);
  const window = stage.openPage();
  const asked: Promise<unknown>[] = [];
  Object.assign(window, { beacon: (url: string) => asked.push(fetch(url)) });
  // jsdom loads no images; this one asks for them as a browser does.
  window.eval(
    "window.Image = function () { Object.defineProperty(this, 'src', { set(url) { window.beacon(url); } }); }; delete window.XMLHttpRequest.prototype.withCredentials;",
  );
  window.eval(fileOf("ldclient-js/dist/ldclient.min.js"));
  const options = { baseUrl: world.flagsUrl, eventsUrl: world.relay.url, bootstrap: {}, flushInterval: 100 };
  const client = window.eval(`LDClient.initialize("env-in", { key: "u" }, ${JSON.stringify(options)})`) as {
    track(key: string): void;
  };
  await new Promise((resolve) => setTimeout(resolve, STARTED_MS));
  client.track(stage.give("first"));
  // A pixel is sent once: the relay is killed when it has answered.
  await stage.arrived();
  await Promise.all(asked);
  await world.relay.restart();
  client.track(stage.give("second"));
  await stage.arrived();
  expect(world.flags.payloads.every(({ path }) => path === "/events/bulk/env-out")).toBe(true);
}

export const scenarios: readonly Scenario[] = [
  ...(
    [
      ["launchdarkly-js-client-sdk", "4"],
      ["launchdarkly-js-client-sdk-2", "3"],
    ] as const
  ).map(([client, schema]): Scenario => {
    const how = "in a page, with preflights";
    return { client, how, needs: NEEDS, run: (stage) => runMinified(stage, client, schema) };
  }),
  { client: "@launchdarkly/js-client-sdk", how: "in a page", needs: NEEDS, run: runBundled },
  { client: "ldclient-js", how: "in a page, by pixel", needs: NEEDS, run: runPixel },
];
