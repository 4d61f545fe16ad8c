/**
 * The ways of loading the client that docs/guide/modules.md has, by the packed tarball: by
 * `require()`, and by TypeScript of three majors with every module resolution that it has.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProject, type Project } from "./install-check/project.ts";
import { pack } from "./pack.ts";

const INSTALL_MS = 180_000;
const COMPILE_MS = 60_000;

/** Two older compilers come with tools of ours. */
const COMPILERS = {
  "5.6": compilerOf("@arethetypeswrong/core"),
  "6.0": compilerOf("@microsoft/api-extractor"),
  "7.0": compilerOf(undefined),
} as const;
type Version = keyof typeof COMPILERS;

const PROGRAM = `import { type Client, createClient } from "waybill";
import { LetterClient } from "waybill/letter";
import { spool } from "waybill/spool";

const client: Client = createClient({ relay: { url: "http://127.0.0.1:9", writeKey: "dev" } });
const id: string = client.track({ userId: "u", event: "Loaded" }).messageId;
console.log(id.length, typeof LetterClient, typeof spool);
void client.close({ deadlineMs: 0 });
`;
/** For TypeScript that lets no CommonJS file import an ES module by \`import … from\`. */
const DYNAMIC_PROGRAM = `import type { Client } from "waybill" with { "resolution-mode": "import" };

async function main(): Promise<void> {
  const { createClient } = await import("waybill");
  const client: Client = createClient({ relay: { url: "http://127.0.0.1:9", writeKey: "dev" } });
  const id: string = client.track({ userId: "u", event: "Loaded" }).messageId;
  console.log(id.length);
  await client.close({ deadlineMs: 0 });
}
void main();
`;

let project: Project;

beforeAll(async () => {
  project = await createProject([await pack("client")]);
}, INSTALL_MS);

afterAll(() => project?.remove());

/** The path of the compiler that `owner` depends on; of this repository's own for `undefined`. */
function compilerOf(owner: string | undefined): string {
  const require = createRequire(import.meta.url);
  const from = owner === undefined ? require : createRequire(fileURLToPath(import.meta.resolve(owner)));
  return join(dirname(from.resolve("typescript/package.json")), "bin/tsc");
}

interface Case {
  readonly version: Version;
  readonly module: string;
  readonly resolution: string;
  /** A file ending: `mts` is an ES module, `cts` is CommonJS, `ts` what the project is. */
  readonly file: "ts" | "mts" | "cts";
  readonly program?: string;
  /** What the compiler wrote runs, too. */
  readonly runs?: true;
}

/** Each case has a folder of its own in the project. */
function folderOf({ version, module, resolution, file, program = PROGRAM }: Case): string {
  const name = [version, module, resolution, file, program === PROGRAM ? "static" : "dynamic"].join("-");
  return join(project.folder, name.replaceAll(".", "-"));
}

/** What the compiler says; "" when nothing is wrong. The program is in \`out/\` then. */
async function compiled(one: Case): Promise<string> {
  const { version, module, resolution, file, program = PROGRAM } = one;
  const folder = folderOf(one);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `main.${file}`), program);
  const isOld = resolution === "node10";
  const compilerOptions = {
    target: "es2022",
    lib: ["es2023", "dom"],
    types: [],
    strict: true,
    rootDir: ".",
    outDir: "out",
    module,
    moduleResolution: resolution,
    // The declarations of the package are checked too, but not the compiler's own.
    skipLibCheck: false,
    skipDefaultLibCheck: true,
    ...(isOld && version === "6.0" ? { ignoreDeprecations: "6.0" } : {}),
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [`main.${file}`] }));
  // The file itself is CommonJS where its ending leaves that open.
  if (isOld) writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }');
  const { stdout } = await project.run(process.execPath, [COMPILERS[version], "-p", folder]);
  return stdout;
}

test("require() of the client and of its other entries, without a warning", async () => {
  writeFileSync(
    join(project.folder, "main.cjs"),
    'const { createClient } = require("waybill"); console.log(typeof createClient, typeof require("waybill/letter").LetterClient);',
  );
  expect(await project.run(process.execPath, ["main.cjs"])).toEqual({
    code: 0,
    stdout: "function function\n",
    stderr: "",
  });
});

test.each<Case>([
  { version: "5.6", module: "node16", resolution: "node16", file: "mts" },
  { version: "5.6", module: "esnext", resolution: "bundler", file: "ts" },
  { version: "5.6", module: "commonjs", resolution: "node10", file: "ts", runs: true },
  { version: "6.0", module: "node16", resolution: "node16", file: "mts" },
  { version: "6.0", module: "nodenext", resolution: "nodenext", file: "cts" },
  { version: "6.0", module: "node20", resolution: "node16", file: "cts" },
  { version: "6.0", module: "preserve", resolution: "bundler", file: "ts" },
  { version: "6.0", module: "commonjs", resolution: "node10", file: "ts" },
  { version: "7.0", module: "node16", resolution: "node16", file: "mts" },
  { version: "7.0", module: "nodenext", resolution: "nodenext", file: "cts" },
  { version: "7.0", module: "esnext", resolution: "bundler", file: "ts" },
])(
  "TypeScript $version, module $module, moduleResolution $resolution, in a .$file file",
  async (one) => {
    expect(await compiled(one)).toBe("");
    if (one.runs === undefined) return;
    const answer = await project.run(process.execPath, [join(folderOf(one), "out/main.js")]);
    expect(answer).toEqual({ code: 0, stdout: "36 function function\n", stderr: "" });
  },
  COMPILE_MS,
);

test.each<Version>(["5.6", "7.0"])(
  "TypeScript %s with module node16 refuses it in a CommonJS file, but for import()",
  async (version) => {
    const one = { version, module: "node16", resolution: "node16", file: "cts" } as const;
    expect(await compiled(one)).toContain("TS1479");
    expect(await compiled({ ...one, program: DYNAMIC_PROGRAM })).toBe("");
  },
  COMPILE_MS,
);
