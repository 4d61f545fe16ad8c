/** Handlers of the routes that show the relay as a whole. */
import { writeAnswer, writeJson } from "../../intake/answers.ts";
import { isFromRelay, othersAnswers } from "../cluster/pass-on.ts";
import { wholeAccounts } from "../cluster/whole-accounts.ts";
import { fullHealth, fullReady } from "../health.ts";
import { openApiDocument } from "../openapi.ts";
import { unknown } from "../refusal.ts";
import type { overviewRoutes } from "../routes/overview.ts";
import { ADMIN_ROUTES } from "../routes/table.ts";
import { answer, type Handlers } from "./call.ts";

export const overviewHandlers: Handlers<keyof typeof overviewRoutes> = {
  health: (view, { request, response, guard }) => writeAnswer(response, fullHealth(view, request, guard)),
  ready: (view, { request, response, guard }) => writeAnswer(response, fullReady(view, request, guard)),
  metrics: async (view, { response }) => {
    const { text, contentType } = await view.metrics();
    writeAnswer(response, { status: 200, headers: { "content-type": contentType }, body: text });
  },
  openApi: (_view, { response }) => writeJson(response, 200, openApiDocument()),
  listEnvironments: (view, call) => answer(call, 200, view.plan()),
  showAccounts: async (view, call) => {
    const partitions = view.peers?.()?.partitions;
    if (partitions === undefined || isFromRelay(call.request)) return answer(call, 200, view.accounts());
    const { found } = await othersAnswers(view, call, ADMIN_ROUTES.showAccounts.answers[200].schema);
    // Read after the others have answered: a lane that came to this relay meanwhile is not missing.
    answer(call, 200, wholeAccounts(view.accounts(), found, { environments: view.plan(), partitions }));
  },
  showCluster: (view, call) => {
    const cluster = view.cluster();
    if (cluster === undefined) throw unknown("no_cluster", "The log is on the disk: there is no cluster.");
    answer(call, 200, cluster);
  },
  listRotations: (view, call) => answer(call, 200, view.rotations()),
};
