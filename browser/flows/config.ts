/** The configuration: a changed file is checked, then applied; faults are shown where they are. */
import { confirm, overviewOf } from "../lib/actions.ts";
import { check } from "../lib/check.ts";
import type { Flow, Stage } from "../lib/flow.ts";
import type { Config } from "../lib/relay.ts";

async function checkAndApply({ world: { relay, environments }, open }: Stage): Promise<void> {
  const page = await open({ at: "/config" });
  await page.getByRole("button", { name: "Check the file on disk" }).click();
  await page.getByText("It changes nothing.").waitFor();
  const production = environments["production"] as { readonly destinations: Config };
  const { analytics } = production.destinations;
  relay.write({
    ...environments,
    production: { ...production, destinations: { ...production.destinations, lake: analytics } },
  });
  await page.getByRole("button", { name: "Check the file on disk" }).click();
  await page.getByText(/lake is added/).waitFor();
  const names = async (): Promise<readonly string[]> =>
    (await overviewOf(relay)).environments.flatMap(({ destinations }) => destinations.map(({ name }) => name));
  check(!(await names()).includes("lake"), "checking has applied it");
  await confirm(page, "Apply it");
  await page.getByText(/It is in force/).waitFor();
  check((await names()).includes("lake"), "the relay did not take it over");
  await page.getByText(/was taken over/).waitFor();
  const plan = await page.getByRole("region", { name: "The plan in force", exact: true }).innerText();
  check(plan.includes("lake") && !plan.includes("any-key"), "the plan lacks what was applied, or shows a key");
}

async function faults({ open }: Stage): Promise<void> {
  const page = await open({ at: "/config" });
  await page.getByText("Or check a text").click();
  await page.getByLabel(/The changed configuration/).fill("listen: 1\nnope: true\n");
  await page.getByRole("button", { name: "Check this text" }).click();
  const alert = page.getByRole("alert");
  await alert.getByText(/The text has \d+ faults?\./).waitFor();
  await alert.getByText("2:1", { exact: true }).waitFor();
}

export const configFlows: readonly Flow[] = [
  { name: "a changed file is checked, shows what changes, and is applied when it is confirmed", run: checkAndApply },
  { name: "faults of a configuration are shown with line and column", run: faults },
];
