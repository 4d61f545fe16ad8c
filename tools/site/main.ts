/** `npm run docs:site`: builds the site of the documentation in `build/site`. */
import { join, relative } from "node:path";
import { buildSite } from "./build.ts";
import { ROOT } from "./catalogue.ts";

const output = join(ROOT, "build/site");
try {
  const { pages, bytes } = await buildSite({ output });
  const place = relative(process.cwd(), join(output, "index.html"));
  process.stdout.write(`${pages} pages, ${(bytes / 1e6).toFixed(1)} MB: open ${place}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
