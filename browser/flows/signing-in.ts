/** Signing in and out, with the right, the wrong and the read-only token. */
import { fetchInside, title } from "../lib/actions.ts";
import { check } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import { READ_ONLY_TOKEN, TOKEN } from "../lib/relay.ts";

async function inAndOut(stage: Stage): Promise<void> {
  const page = await stage.open({ as: "nobody", at: "/d/production/analytics" });
  await page.getByLabel("Admin token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await title(page, "analytics");
  check(page.url().endsWith("/d/production/analytics"), `signing in leads to ${page.url()}`);
  const [cookie] = await page.context().cookies();
  check(
    cookie?.httpOnly === true && cookie.sameSite === "Strict",
    "the cookie can be read by scripts, or is sent by others",
  );
  const kept = await page.evaluate(() =>
    JSON.stringify([localStorage, sessionStorage, document.cookie, location.href]),
  );
  check(!kept.includes(TOKEN), "the token is kept in the browser");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Admin token").waitFor();
  const { status } = await fetchInside(page, "/v1/overview", { method: "GET" });
  check(status === 401, `after signing out the overview is answered ${status}`);
}

async function wrongToken(stage: Stage): Promise<void> {
  const page = await stage.open({ as: "nobody", at: "/" });
  await page.getByLabel("Admin token").fill("not-the-token");
  await page.getByRole("button", { name: "Sign in" }).click();
  const alert = page.getByRole("alert");
  await alert.waitFor();
  check((await alert.innerText()).includes("This is not the token of this relay."), await alert.innerText());
  await page.getByLabel("Admin token").fill(TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await title(page, "Overview");
}

async function readOnly(stage: Stage): Promise<void> {
  const page = await stage.open({ as: "nobody", at: "/d/production/analytics" });
  await page.getByLabel("Admin token").fill(READ_ONLY_TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("nothing can be changed").waitFor();
  await page.getByText("read only", { exact: true }).waitFor();
  const names = [
    "Pause",
    "Rotate the key",
    "Retry all that match",
    "Discard all that match",
    "Count them first",
    "Apply it",
  ];
  for (const at of ["/", "/d/production/analytics", "/dead/production/warehouse", "/replays", "/config"]) {
    await page.goto(at);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.getByText("read only", { exact: true }).waitFor();
    for (const name of names)
      check((await page.getByRole("button", { name }).count()) === 0, `${at} has the button ${name}`);
  }
  const { status, text } = await fetchInside(page, "/v1/lanes/production/analytics/pause", { method: "POST" });
  check(status === 403 && text.includes("The read-only token changes nothing"), `${status}: ${text}`);
}

export const signingInFlows: readonly Flow[] = [
  { name: "signing in stays at the link that was opened; signing out ends the session", run: inAndOut },
  { name: "a wrong token is refused in a sentence, and the right one is taken after it", run: wrongToken },
  { name: "the read-only token sees every view, and changes nothing", run: readOnly },
];
