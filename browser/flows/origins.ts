/** Other web sites get nothing of a relay that listens on loopback. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { laneOf } from "../lib/actions.ts";
import { check } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";

const POSTED_MS = 500;

/** A page of another site in the browser of somebody who is signed in. */
async function otherOrigin({ world: { relay }, open, after }: Stage): Promise<void> {
  const server = createServer((_, response) => response.setHeader("content-type", "text/html").end("<h1>other</h1>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(async () => void server.close());
  const page = await open({ isForeign: true, at: "/" });
  await page.goto(`http://other.example:${(server.address() as AddressInfo).port}/`);
  const answers = await page.evaluate(async (admin) => {
    const pause = `${admin}/v1/lanes/production/analytics/pause`;
    const tried: readonly (readonly [url: string, init: RequestInit])[] = [
      [`${admin}/v1/overview`, {}],
      [`${admin}/v1/overview`, { credentials: "include" }],
      [pause, { method: "POST", credentials: "include" }],
      [pause, { method: "POST", credentials: "include", mode: "no-cors" }],
    ];
    const outcomes: string[] = [];
    for (const [url, init] of tried)
      outcomes.push(
        await fetch(url, init).then(
          (response) => `${response.type} ${response.status}`,
          () => "failed",
        ),
      );
    return outcomes;
  }, relay.adminUrl);
  check(
    answers.every((answer) => answer === "failed" || answer === "opaque 0"),
    `another site reads ${answers.join(", ")}`,
  );
  // A simple request: no browser asks the relay beforehand whether it may be sent.
  await page.evaluate((pause) => navigator.sendBeacon(pause), `${relay.adminUrl}/v1/lanes/production/analytics/pause`);
  await page.waitForTimeout(POSTED_MS);
  check((await laneOf(relay, "analytics")).mode !== "paused", "another site has paused a lane");
}

/** A name that was made to lead to this machine: the page's own scripts would run there. */
async function wrongHost({ world: { relay }, open }: Stage): Promise<void> {
  const page = await open({ isForeign: true });
  const response = await page.goto(`http://relay.example:${relay.adminPort}/`);
  check(response?.status() === 403, `a wrong host is answered ${response?.status()}`);
  const text = await page.locator("body").innerText();
  check(text.includes("relay.example"), `the refusal does not name the host: ${text}`);
  const inside = await page.evaluate(async () => (await fetch("/v1/overview")).status);
  check(inside === 403, `the overview is answered ${inside} under a wrong host`);
}

/** Nobody may put the page into a frame and have its buttons pressed. */
async function framed({ world: { relay }, open, after }: Stage): Promise<void> {
  const server = createServer((_, response) =>
    response.setHeader("content-type", "text/html").end(`<iframe src="${relay.adminUrl}/"></iframe>`),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(async () => void server.close());
  const page = await open({ isForeign: true });
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const [, frame] = page.frames();
  const shown = (await frame?.content().catch(() => "")) ?? "";
  check(frame !== undefined && !shown.includes('id="page"'), "the frame shows the page");
}

export const originFlows: readonly Flow[] = [
  { name: "another web site reads nothing and changes nothing, whoever is signed in", run: otherOrigin },
  { name: "a host that is not ours is refused, for the page and for the admin API", run: wrongHost },
  { name: "another web site cannot put the page into a frame", run: framed },
];
