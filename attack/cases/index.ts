import type { Attack } from "../lib/stage.ts";
import { admin } from "./admin.ts";
import { adminDeadLetters } from "./admin-dead-letters.ts";
import { adminPage } from "./admin-page.ts";
import { adminSessions } from "./admin-sessions.ts";
import { adminStreams } from "./admin-streams.ts";
import { bodies } from "./bodies.ts";
import { commands } from "./cli.ts";
import { clients } from "./clients.ts";
import { clusters } from "./cluster.ts";
import { configs } from "./config.ts";
import { directories } from "./directory.ts";
import { encodings } from "./encodings.ts";
import { events } from "./events.ts";
import { exchanges } from "./exchanges.ts";
import { files } from "./files.ts";
import { heads } from "./heads.ts";
import { misuse } from "./misuse.ts";
import { reloads } from "./reload.ts";
import { shutdowns } from "./shutdown.ts";
import { slow } from "./slow.ts";
import { smuggling } from "./smuggling.ts";
import { tls } from "./tls.ts";
import { vendors } from "./vendors.ts";

/** Every case, those of one scene beside each other. */
export const ATTACKS: readonly Attack[] = bySceneOf([
  ...encodings,
  ...bodies,
  ...heads,
  ...smuggling,
  ...slow,
  ...tls,
  ...events,
  ...vendors,
  ...exchanges,
  ...admin,
  ...adminSessions,
  ...adminPage,
  ...adminDeadLetters,
  ...adminStreams,
  ...misuse,
  ...reloads,
  ...files,
  ...directories,
  ...shutdowns,
  ...configs,
  ...commands,
  ...clients,
  ...clusters,
]);

/** A relay is started once for the cases of a scene. */
function bySceneOf(attacks: readonly Attack[]): readonly Attack[] {
  const scenes = [...new Set(attacks.map(({ scene }) => scene))];
  return scenes.flatMap((scene) => attacks.filter((attack) => attack.scene === scene));
}
