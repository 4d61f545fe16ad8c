/** A relay to which nothing was ever sent shows how to send something. */
import { execFileSync } from "node:child_process";
import { check } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { freshRelay } from "../lib/views.ts";

async function firstEvent({ open }: Stage): Promise<void> {
  const relay = await freshRelay();
  const page = await open({ relay, at: "/" });
  await page.getByRole("heading", { name: /^No event has come yet/ }).waitFor();
  const command = await page.getByRole("region", { name: "How to send an event with curl" }).innerText();
  check(command.includes(relay.url), `the command has another address: ${command}`);
  const [key] = /KEY_OF_\w+/.exec(command) ?? ["KEY"];
  execFileSync("sh", ["-c", command], { stdio: "ignore", env: { ...process.env, [key]: "shop-key" } });
  await page.getByRole("heading", { name: /^No event has come yet/ }).waitFor({ state: "detached" });
  await page.getByText(/1 stored/).waitFor();
}

export const firstRunFlows: readonly Flow[] = [
  { name: "a relay without events shows how to send one; the command that it shows is enough", run: firstEvent },
];
