/**
 * File systems of their own for a run, gone when the process is. They take root and Linux; where
 * they cannot be had, the reason is reported.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";

/** Why a run was skipped. */
export class Unavailable extends Error {}

const mounted = new Set<string>();
process.once("exit", () => {
  for (const directory of mounted) spawnSync("umount", ["-l", directory]);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

/** A file system in memory of `bytes`. **Errors**: {@link Unavailable}. */
export function mountMemory(directory: string, bytes: number): void {
  mkdirSync(directory, { recursive: true });
  mount(["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", directory], directory);
}

/**
 * An ext4 file system of `bytes` in the file `image`, made anew, with a journal or without.
 * **Errors**: {@link Unavailable}.
 */
export function makeExt4(image: string, bytes: number, { journal }: { readonly journal: boolean }): void {
  run("truncate", ["-s", String(bytes), image]);
  run("mkfs.ext4", ["-q", "-F", ...(journal ? [] : ["-O", "^has_journal"]), image]);
}

export function mountImage(image: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  mount(["-o", "loop", image, directory], directory);
}

export function unmount(directory: string): void {
  run("umount", [directory]);
  mounted.delete(directory);
}

/**
 * As if the power failed: nothing that was not synced reaches the disk, every operation from now on
 * fails.
 */
export function cutPower(directory: string): void {
  // EXT4_IOC_SHUTDOWN with "no log flush"; xfs_io knows it by name, the others by number.
  const script = `open(F,"<",$ARGV[0]) or die; $flag=pack("L",2); ioctl(F,0x8004587d,$flag) or die $!`;
  const python = `import fcntl,os,struct,sys; fcntl.ioctl(os.open(sys.argv[1],os.O_RDONLY),0x8004587d,struct.pack("I",2))`;
  const ways: readonly (readonly [string, readonly string[]])[] = [
    ["xfs_io", ["-x", "-c", "shutdown", directory]],
    ["perl", ["-e", script, directory]],
    ["python3", ["-c", python, directory]],
  ];
  const failed: string[] = [];
  for (const [command, args] of ways) {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status === 0) return;
    failed.push(`${command}: ${(stderr ?? "not found").trim()}`);
  }
  throw new Unavailable(`the file system can't be shut down (${failed.join("; ")})`);
}

export function freeze(directory: string, frozen: boolean): void {
  run("fsfreeze", [frozen ? "-f" : "-u", directory]);
}

function mount(args: readonly string[], directory: string): void {
  run("mount", args);
  mounted.add(directory);
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Unavailable(`${command} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
}
