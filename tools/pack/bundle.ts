/**
 * The relay and its command as a few files with everything in them, also the libraries: a start
 * reads four files instead of nine hundred, and a user installs nothing else.
 */
import { join } from "node:path";
import { build as bundleFiles, type Plugin } from "esbuild";
import { ROOT } from "./published.ts";

export interface Bundling {
  /** Name of the file in `dist`, without its ending, and the built file that it is made from. */
  readonly entries: Readonly<Record<string, string>>;
  readonly dist: string;
  /** What users have or have not, as they like. */
  readonly external: readonly string[];
}

/** The libraries among them are CommonJS in part, and ask for modules of Node's. */
const BANNER = `import { createRequire as requireFor } from "node:module";
const require = requireFor(import.meta.url);`;

/** Makes the files; gives back those of libraries that went into them. */
export async function bundle({ entries, dist, external }: Bundling): Promise<readonly string[]> {
  const { metafile, warnings } = await bundleFiles({
    entryPoints: { ...entries },
    outdir: dist,
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    // What looks for the page beside the package is in a folder as deep as it was.
    chunkNames: "chunks/[name]-[hash]",
    format: "esm",
    platform: "node",
    target: "node20.19",
    banner: { js: BANNER },
    plugins: [englishOnly, usersOwn(external)],
    // Names and lines stay as they are, for the stack of a defect.
    minify: false,
    legalComments: "none",
    metafile: true,
    logLevel: "error",
  });
  if (warnings.length > 0) throw new Error(warnings.map(({ text }) => text).join("\n"));
  return Object.keys(metafile.inputs)
    .filter((file) => file.startsWith("node_modules/"))
    .map((file) => join(ROOT, file));
}

/**
 * What users have or have not is theirs where our own code imports it. A library that requires it
 * cannot do without, and has a copy of its own.
 */
function usersOwn(names: readonly string[]): Plugin {
  return {
    name: "users-own",
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
        const isUsers = names.some((name) => path === name || path.startsWith(`${name}/`));
        return isUsers && kind !== "require-call" ? { path, external: true } : undefined;
      });
    },
  };
}

/** zod brings its messages in fifty languages; nothing here sets another one. */
const englishOnly: Plugin = {
  name: "english-only",
  setup(build) {
    build.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      loader: "js",
    }));
  },
};
