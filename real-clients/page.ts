/** A page in this process for SDKs of the browser. */
import { onTestFinished } from "vitest";
import { load } from "./setup.ts";

export interface Page {
  eval(code: string): unknown;
  fetch?: unknown;
  close(): void;
}

/** A page of another origin than the relay's, so that the browser asks first. */
export function openPage(): Page {
  const { JSDOM, VirtualConsole } = load<{
    JSDOM: new (html: string, options: object) => { readonly window: Page };
    VirtualConsole: new () => object;
  }>("jsdom");
  const { window } = new JSDOM("<!doctype html>", {
    url: "http://page.test/",
    runScripts: "outside-only",
    pretendToBeVisual: true,
    virtualConsole: new VirtualConsole(),
  });
  onTestFinished(() => window.close());
  return window;
}
