/** The mode of a lane, the state of a replay, the fate of an event: a sign and a word. */
import type { JSX } from "preact";
import { Glyph, type GlyphName } from "./glyph.tsx";

type Tone = "ok" | "error" | "warn" | "info" | "quiet";

const LOOKS: ReadonlyMap<string, readonly [GlyphName, Tone]> = new Map([
  ["idle", ["idle", "quiet"]],
  ["sending", ["send", "ok"]],
  ["waiting", ["wait", "warn"]],
  ["paused", ["pause", "warn"]],
  ["halted", ["stop", "error"]],
  ["failed", ["error", "error"]],
  ["closed", ["stop", "quiet"]],
  ["running", ["send", "ok"]],
  ["done", ["ok", "ok"]],
  ["cancelled", ["stop", "quiet"]],
  ["delivered", ["ok", "ok"]],
  ["pending", ["wait", "info"]],
  ["rejected", ["error", "error"]],
  ["dropped", ["idle", "quiet"]],
  ["expired", ["error", "error"]],
  ["unknown", ["idle", "quiet"]],
  ["missing", ["error", "error"]],
  ["unowned", ["warning", "warn"]],
  ["not_addressed", ["idle", "quiet"]],
  ["retried", ["ok", "ok"]],
  ["discarded", ["idle", "quiet"]],
]);

export interface BadgeProps {
  readonly name: string;
  readonly title?: string;
}

export function Badge({ name, title = "" }: BadgeProps): JSX.Element {
  const [glyph, tone] = LOOKS.get(name) ?? ["idle", "quiet"];
  return (
    <span class={`badge tone-${tone}`} title={title}>
      <Glyph name={glyph} />
      {name.replaceAll("_", " ")}
    </span>
  );
}
