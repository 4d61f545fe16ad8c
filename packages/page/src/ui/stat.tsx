/** A number with its name. */
import type { ComponentChildren, JSX } from "preact";
import { Glyph } from "./glyph.tsx";

export interface StatProps {
  readonly name: string;
  readonly title?: string;
  /** Shown smaller, after the number. */
  readonly more?: ComponentChildren;
  /** Has a sign beside it. */
  readonly isAlarming?: boolean;
  readonly children: ComponentChildren;
}

export function Stat({ name, title = "", more, isAlarming = false, children }: StatProps): JSX.Element {
  return (
    <div class={isAlarming ? "stat tone-warn" : "stat"} title={title}>
      <dt>{name}</dt>
      <dd>
        {isAlarming ? <Glyph name="warning" /> : null}
        {children}
        {more === undefined ? null : (
          <>
            {" "}
            <span class="stat-more">{more}</span>
          </>
        )}
      </dd>
    </div>
  );
}
