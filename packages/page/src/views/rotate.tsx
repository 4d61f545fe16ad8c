/** A new key for a destination or a source, with the time for which those before it stay valid. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { duration } from "../format/times.ts";
import { announce } from "../ui/announcer.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Choice, Field } from "../ui/fields.tsx";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const GRACES = [0, 10 * MINUTE, HOUR, 24 * HOUR] as const;
/** LaunchDarkly's, beside the ordinary one. */
const KINDS = [
  ["", "SDK key"],
  ["mobile", "mobile key"],
  ["js", "client-side id"],
] as const;

export interface NewKey {
  readonly key: string;
  readonly graceMs: number;
  readonly kind?: "mobile" | "js";
}

export interface RotateProps {
  readonly name: string;
  /** What happens, in a sentence or two. */
  readonly text: string;
  /** What the choice of the grace period is called. */
  readonly grace: string;
  /** Whether there are keys of several kinds. */
  readonly hasKinds?: boolean;
  /** Read aloud when it is done. */
  readonly done: string;
  readonly rotate: (key: NewKey) => Promise<unknown>;
  readonly onClose: () => void;
}

export function Rotate({ name, text, grace, hasKinds = false, done, rotate, onClose }: RotateProps): JSX.Element {
  const [key, setKey] = useState("");
  const [kind, setKind] = useState("");
  const [graceMs, setGraceMs] = useState(String(HOUR));
  return (
    <Dialog
      title={`Rotate the key: ${name}`}
      action="Rotate the key"
      isReady={key !== ""}
      onClose={onClose}
      onConfirm={async () => {
        await rotate({ key, graceMs: Number(graceMs), ...(kind === "" ? {} : { kind: kind as "mobile" | "js" }) });
        announce(done);
      }}
    >
      <p>{text}</p>
      <Field label="New key" type="password" autoComplete="new-password" value={key} onChange={setKey} isRequired />
      {hasKinds ? <Choice label="Kind of key" value={kind} options={KINDS} onChange={setKind} /> : null}
      <Choice
        label={grace}
        value={graceMs}
        options={GRACES.map((ms) => [String(ms), ms === 0 ? "no time" : duration(ms)] as const)}
        onChange={setGraceMs}
      />
    </Dialog>
  );
}
