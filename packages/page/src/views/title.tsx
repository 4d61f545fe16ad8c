/** The heading of a view: it names the tab, and has the focus after a navigation. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";

export interface TitleProps {
  readonly text: string;
  readonly children?: ComponentChildren;
}

export function Title({ text, children }: TitleProps): JSX.Element {
  useEffect(() => {
    document.title = `${text} · Waybill`;
  }, [text]);
  return (
    <div class="title">
      <h1 tabIndex={-1}>{text}</h1>
      {children}
    </div>
  );
}
