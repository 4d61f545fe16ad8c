import { defineConfig } from "vite";

/** The page is a part of the relay's package: nothing is installed beside it. */
export default defineConfig({
  root: import.meta.dirname,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../relay/page",
    emptyOutDir: true,
    target: "es2022",
    // A strict Content-Security-Policy allows `data:` for images alone, and nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
