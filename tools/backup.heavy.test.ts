/**
 * The steps of docs/operating/backup.md, done as they are there, with a relay in a process of its
 * own: what was acknowledged before a backup is delivered after its restore, and nothing is counted
 * twice.
 */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeClock } from "@waybill/node";
import type { Accounts } from "@waybill/relay";
import { emulators } from "@waybill/testing";
import { expect, onTestFinished, test } from "vitest";
import { Reader } from "./page-runner/reader.ts";
import { stepsOf } from "./page-runner/steps.ts";

const COMMAND = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));
const PAGE = readFileSync(new URL("../docs/operating/backup.md", import.meta.url), "utf8");
const TEST_MAX_MS = 120_000;
const REFUSED = "Refused";
const POLL = { timeout: 30_000, interval: 50 };

/** A machine with systemd, as far as the page needs one: a folder, and two commands. */
async function createMachine() {
  const folder = mkdtempSync(join(tmpdir(), "waybill-backup-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const vendor = new emulators.SegmentEmulator({ clock: nodeClock, writeKeys: ["theirs"] });
  const server = await vendor.listen();
  onTestFinished(() => server.close());
  for (const name of ["bin", "var/lib/waybill", "var/backups"]) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "waybill.yaml"), configOf(folder, server.url));
  program(folder, "waybill", `exec '${process.execPath}' '${COMMAND}' "$@"`);
  program(folder, "systemctl", SYSTEMCTL);
  const env = { PATH: `${folder}/bin:${process.env["PATH"]}`, MACHINE: folder };
  const systemctl = (verb: string): Promise<void> => run(join(folder, "bin/systemctl"), [verb, "waybill"], env);
  onTestFinished(() => systemctl("stop"));
  const reader = new Reader({
    folder,
    env,
    replace: [
      ["/var/", `${folder}/var/`],
      ["waybill lanes", "waybill lanes --admin $(cat $MACHINE/admin)"],
      ["WRITE_KEY", "ours --url $(cat $MACHINE/intake)"],
    ],
  });
  return {
    folder,
    vendor,
    systemctl,
    reader,
    url: (name: "intake" | "admin") => readFileSync(join(folder, name), "utf8"),
  };
}

type Machine = Awaited<ReturnType<typeof createMachine>>;

const SYSTEMCTL = `
cd "$MACHINE"
case "$1" in
  start)
    : > out.log
    waybill relay --config waybill.yaml >> out.log 2>&1 &
    echo $! > pid
    until grep -q '"intake"' out.log; do kill -0 "$(cat pid)"; sleep 0.05; done
    for name in intake admin; do grep -o "\\"$name\\":\\"[^\\"]*" out.log | head -1 | cut -d '"' -f 4 | tr -d '\\n' > "$name"; done ;;
  stop)
    test -f pid || exit 0
    kill -TERM "$(cat pid)" || true
    while kill -0 "$(cat pid)" 2> /dev/null; do sleep 0.05; done
    rm pid ;;
esac`;

function configOf(folder: string, url: string): string {
  return `listen: 127.0.0.1:0
admin: { listen: 127.0.0.1:0 }
dataDirectory: ${folder}/var/lib/waybill
network: { allowPrivateAddresses: true }
environments:
  production:
    sources: { app: { protocol: segment, writeKeys: [ours] } }
    destinations:
      segment: { vendor: segment, url: "${url}", writeKey: theirs, backoff: { base: 10ms, max: 50ms } }
`;
}

function program(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, "bin", name), `#!/bin/bash\nset -e\n${text}\n`, { mode: 0o755 });
}

function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args], { env, stdio: ["ignore", "ignore", "inherit"] });
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${file} ${args.join(" ")}: ${code}`))));
  });
}

/** Sends events `from` up to `to`, each of which has to be acknowledged. */
async function send(machine: Machine, from: number, to: number, event = "Ordered"): Promise<void> {
  const ids = Array.from({ length: to - from }, (_, index) => `event-${from + index}`);
  const batch = ids.map((messageId, index) => ({
    type: "track",
    userId: `user-${index % 10}`,
    event,
    messageId,
  }));
  const response = await fetch(`${machine.url("intake")}/v1/batch`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("ours:")}`, "content-type": "application/json" },
    body: JSON.stringify({ batch }),
  });
  expect(response.status).toBe(200);
}

async function accountOf(machine: Machine) {
  const { lanes } = (await (await fetch(`${machine.url("admin")}/v1/accounts`)).json()) as Accounts;
  return lanes[0];
}

function arrived({ vendor }: Machine): ReadonlySet<string> {
  return new Set(vendor.events.map(({ event }) => String(event["messageId"])));
}

const HEADINGS = [
  "### With a stop",
  "### With a snapshot",
  "## Restoring",
  "## What holds after a restore",
  "## A disk that is",
] as const;

/** The steps between two headings of the page. */
function steps(heading: (typeof HEADINGS)[number]) {
  const next = HEADINGS[HEADINGS.indexOf(heading) + 1] as string;
  return stepsOf(PAGE.slice(PAGE.indexOf(heading), PAGE.indexOf(next)));
}

test(
  "after a restore nothing is lost that was acknowledged before the backup, and duplicates have the ids they had",
  async () => {
    const machine = await createMachine();
    const { vendor, reader } = machine;
    vendor.refuse(({ event }) => event === REFUSED);
    await machine.systemctl("start");
    await send(machine, 0, 200);
    await send(machine, 200, 201, REFUSED);
    await expect.poll(() => accountOf(machine), POLL).toMatchObject({ account: { delivered: 200, rejected: 1 } });
    vendor.fail({ kind: "status", status: 503 });
    await send(machine, 201, 301);

    await reader.follow(steps("### With a stop"));
    vendor.recover();
    await expect.poll(() => arrived(machine).size, POLL).toBe(300);
    await send(machine, 301, 351);
    await expect.poll(() => arrived(machine).size, POLL).toBe(350);
    expect(vendor.duplicates).toBe(0);

    await reader.follow(steps("## Restoring"));
    const waited = 100;
    await expect
      .poll(() => accountOf(machine), POLL)
      .toMatchObject({
        account: { accepted: 301, delivered: 300, rejected: 1, pending: 0, balanced: true },
        deadLetters: { waiting: 1 },
      });
    expect(vendor.duplicates).toBe(waited);
    expect(arrived(machine).size).toBe(350);

    // What is newer than the backup comes again from what is left; the rest is known.
    await reader.follow(steps("## What holds after a restore"));
    await expect
      .poll(() => accountOf(machine), POLL)
      .toMatchObject({
        account: { accepted: 351, delivered: 350, rejected: 1, balanced: true },
      });
    expect(arrived(machine).size).toBe(350);
  },
  TEST_MAX_MS,
);

test(
  "a snapshot of a relay under load has everything that was acknowledged before it",
  async () => {
    const machine = await createMachine();
    const { folder, vendor, reader } = machine;
    const data = join(folder, "var/lib/waybill");
    const snapshot = join(folder, "var/snapshot");
    await machine.systemctl("start");
    await send(machine, 0, 100);
    await expect.poll(() => accountOf(machine), POLL).toMatchObject({ account: { delivered: 100 } });
    vendor.fail({ kind: "status", status: 503 });
    let sent = 100;
    let isOver = false;
    const load = (async () => {
      for (; !isOver; sent += 10) await send(machine, sent, sent + 10);
    })();
    await expect.poll(() => sent, POLL).toBeGreaterThan(200);
    // What a snapshot has: the files as they all are at one moment, of a relay that goes on.
    const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
    const acknowledged = sent;
    process.kill(pid, "SIGSTOP");
    cpSync(data, snapshot, { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
    process.kill(pid, "SIGCONT");
    await expect.poll(() => sent, POLL).toBeGreaterThan(acknowledged + 100);
    isOver = true;
    await load;

    await machine.systemctl("stop");
    execFileSync("tar", ["--create", "--file", join(folder, "var/backups/waybill.tar"), "--directory", snapshot, "."]);
    await reader.follow(steps("## Restoring").slice(0, 1));
    vendor.recover();
    await expect.poll(() => accountOf(machine), POLL).toMatchObject({ account: { pending: 0, balanced: true } });
    const all = arrived(machine);
    const missing = Array.from({ length: acknowledged }, (_, n) => `event-${n}`).filter((id) => !all.has(id));
    expect(missing).toEqual([]);
    expect(vendor.duplicates).toBe(0);
  },
  TEST_MAX_MS,
);

test(
  "a copy of the files one after the other, of a relay that runs, can be without an acknowledged event",
  async () => {
    const machine = await createMachine();
    const { folder, vendor } = machine;
    const data = join(folder, "var/lib/waybill/production");
    const copy = join(folder, "var/copy");
    vendor.refuse(({ event }) => event === REFUSED);
    vendor.fail({ kind: "status", status: 503 });
    await machine.systemctl("start");
    await send(machine, 0, 1, REFUSED);
    const inTurn = (name: string) => cpSync(join(data, name), join(copy, name), { recursive: true });
    inTurn("dead");
    vendor.recover();
    await expect.poll(() => accountOf(machine), POLL).toMatchObject({ account: { rejected: 1 } });
    await machine.systemctl("stop");
    for (const name of ["log", "lanes", "fates", "ids", "attempts"]) inTurn(name);
    rmSync(data, { recursive: true });
    cpSync(copy, data, { recursive: true });
    await machine.systemctl("start");
    expect(await accountOf(machine)).toMatchObject({
      account: { accepted: 1, rejected: 1, pending: 0, balanced: true },
      deadLetters: { waiting: 0 },
    });
  },
  TEST_MAX_MS,
);
