/** Builds the site of the documentation: static files that need no server and no network. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle } from "esbuild";
import { headingsOf } from "../markdown/anchors.ts";
import { INDEX, navigation, pageFiles, placeOf, ROOT } from "./catalogue.ts";
import { homePage } from "./home.ts";
import { layout } from "./layout.ts";
import { imagePlaceOf, render } from "./render.ts";
import { searchIndex } from "./search-index.ts";

export interface BuildOptions {
  /** Emptied first. */
  readonly output: string;
  /** Texts in the place of those in the repository, by file; for tests. */
  readonly texts?: ReadonlyMap<string, string>;
}

export interface Built {
  readonly pages: number;
  readonly bytes: number;
}

/** **Errors**: an `Error` that names every link that leads nowhere and every page of raw HTML. */
export async function buildSite({ output, texts = new Map() }: BuildOptions): Promise<Built> {
  const read = (file: string): string => texts.get(file) ?? readFileSync(join(ROOT, file), "utf8");
  const pages = new Map(pageFiles().map((file) => [file, read(file)]));
  const sections = navigation(read(INDEX));
  const anchors = new Map(
    [...pages].map(([file, text]) => [file, new Set(headingsOf(text).map(({ anchor }) => anchor))]),
  );
  anchors.set(INDEX, new Set());
  const { version, repositoryUrl } = aboutRepository();
  const rendered = [...pages].map(([file, markdown]) => ({
    file,
    page: render({ file, markdown, anchors, repositoryUrl }),
  }));
  const faults = rendered.flatMap(({ page }) => page.faults);
  if (faults.length > 0) throw new Error(faults.join("\n"));

  rmSync(output, { recursive: true, force: true });
  let bytes = 0;
  const write = (place: string, text: string): void => {
    mkdirSync(dirname(join(output, place)), { recursive: true });
    writeFileSync(join(output, place), text);
    bytes += Buffer.byteLength(text);
  };
  for (const { file, page } of rendered) write(placeOf(file), layout({ file, page, sections, version }));
  const home = { title: "Waybill", html: homePage(sections), headings: [] };
  write(placeOf(INDEX), layout({ file: INDEX, page: home, sections, version }));
  write("search-index.js", `window.waybillSearchIndex=${JSON.stringify(JSON.stringify(searchIndex(pages)))};\n`);
  for (const image of new Set(rendered.flatMap(({ page }) => page.images)))
    cpSync(join(ROOT, image), join(output, imagePlaceOf(image)));
  cpSync(join(ROOT, "packages/page/src/icon.svg"), join(output, "icon.svg"));
  await bundleAssets(output);
  return { pages: rendered.length + 1, bytes };
}

async function bundleAssets(output: string): Promise<void> {
  const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  await bundle({
    entryPoints: [here("browser/site.ts"), here("browser/theme.ts"), here("site.css")],
    outdir: output,
    entryNames: "[name]",
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    logLevel: "error",
  });
}

function aboutRepository(): { readonly version: string; readonly repositoryUrl: string } {
  const read = (file: string) => JSON.parse(readFileSync(join(ROOT, file), "utf8")) as Record<string, unknown>;
  const { url } = read("package.json")["repository"] as { readonly url: string };
  return {
    version: String(read("packages/relay/package.json")["version"]),
    repositoryUrl: url.replace(/^git\+/, "").replace(/\.git$/, ""),
  };
}
