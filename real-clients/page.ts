/** A page in this process for SDKs of the browser. */
import { onTestFinished } from "vitest";
import { load } from "./setup.ts";

export interface Page {
  eval(code: string): unknown;
  fetch?: unknown;
  close(): void;
}

/**
 * A page of another origin than the relay's, so that the browser asks first. `onEnd` takes what
 * closes it; by default the test's end does.
 */
export function openPage(onEnd: (close: () => void) => void = onTestFinished): Page {
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
  onEnd(() => window.close());
  return window;
}
