/** Pause, resume, probe and rotate, each with what it will do before it is done. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { call } from "../api/call.ts";
import { session } from "../api/session.ts";
import type { OverviewDestination } from "../api/types.ts";
import { useStore } from "../browser/store.ts";
import { counted } from "../format/numbers.ts";
import { placeOf } from "../model/lanes.ts";
import { announce } from "../ui/announcer.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Rotate } from "./rotate.tsx";

export interface LaneActionsProps {
  readonly environment: string;
  readonly found: OverviewDestination;
  readonly onChanged: () => void;
}

type Action = "pause" | "resume" | "probe" | "rotate";

/** Modes in which a probe has something to try. */
const PROBED = new Set(["waiting", "halted", "failed"]);
const STOPPED = new Set(["paused", "halted", "failed"]);

export function LaneActions(props: LaneActionsProps): JSX.Element {
  const { found, onChanged } = props;
  const [open, setOpen] = useState<Action>();
  const [unconfirmed, setUnconfirmed] = useState<readonly string[]>([]);
  const state = useStore(session);
  const isReadOnly = state.is === "known" && state.session.role === "readOnly";
  if (isReadOnly) return <p class="muted">You are signed in with the read-only token: nothing can be changed.</p>;
  const close = (): void => {
    setOpen(undefined);
    onChanged();
  };
  return (
    <>
      {unconfirmed.length === 0 ? null : <Unconfirmed names={unconfirmed} />}
      <div class="actions">
        {found.mode === "paused" ? null : (
          <button type="button" onClick={() => setOpen("pause")}>
            Pause
          </button>
        )}
        {STOPPED.has(found.mode) ? (
          <button type="button" class="primary" onClick={() => setOpen("resume")}>
            Resume
          </button>
        ) : null}
        {PROBED.has(found.mode) && found.partitions === undefined ? (
          <button type="button" onClick={() => setOpen("probe")}>
            Probe now
          </button>
        ) : null}
        <button type="button" onClick={() => setOpen("rotate")}>
          Rotate the key
        </button>
        {open === undefined ? null : open === "rotate" ? (
          <RotateDestination {...props} onClose={close} onDone={setUnconfirmed} />
        ) : (
          <Steer {...props} action={open} onClose={close} onDone={setUnconfirmed} />
        )}
      </div>
    </>
  );
}

/** Relays of a cluster that are slow, cut off, or gone without a word. */
function Unconfirmed({ names }: { readonly names: readonly string[] }): JSX.Element {
  return (
    <div class="note tone-warn" role="status">
      <Glyph name="warning" />
      <p>{names.join(", ")}: not confirmed yet. What you asked for is done there as soon as it is read.</p>
    </div>
  );
}

interface DialogProps extends LaneActionsProps {
  readonly onClose: () => void;
  /** With the relays that have not confirmed it. */
  readonly onDone: (unconfirmed: readonly string[]) => void;
}

interface SteerProps extends DialogProps {
  readonly action: "pause" | "resume" | "probe";
}

const STEERING = {
  pause: {
    action: "Pause",
    done: "is paused",
    text: "The requests in flight are finished, then nothing is sent. Events go on being accepted, and are kept as long as retention keeps them.",
  },
  resume: {
    action: "Resume",
    done: "goes on",
    text: "Sending begins at once, with the oldest event.",
  },
  probe: {
    action: "Probe now",
    done: "tries again now",
    text: "The next request is made at once instead of at the end of the wait. If it fails, the lane waits again.",
  },
} as const;

function Steer({ environment, found, action, onClose, onDone }: SteerProps): JSX.Element {
  const { name, waitingEvents } = found;
  const steering = STEERING[action];
  // A lane is probed alone; paused are those of all partitions.
  const isOfAll = action !== "probe" && placeOf(environment).partition !== undefined;
  return (
    <Dialog
      title={`${steering.action}: ${name}`}
      action={steering.action}
      onClose={onClose}
      onConfirm={async () => {
        const given = { params: { environment, destination: name } };
        if (action === "probe") await call("probeLane", given);
        else onDone((await call(action === "pause" ? "pauseLane" : "resumeLane", given))?.unconfirmed ?? []);
        announce(`${name} ${steering.done}.`);
      }}
    >
      <p>{steering.text}</p>
      {isOfAll ? <p>This is done to all partitions of {name}.</p> : null}
      <p>
        {counted(waitingEvents, "event")} waiting now{isOfAll ? " in this one" : ""}.
      </p>
    </Dialog>
  );
}

function RotateDestination(props: DialogProps): JSX.Element {
  const { found, onClose, onDone } = props;
  const { name, vendor } = found;
  // All partitions have the same key.
  const { environment } = placeOf(props.environment);
  return (
    <Rotate
      name={name}
      text="The new key is used from the next request on. It holds, over restarts too, until the configuration has it: put it there as well."
      grace="The key before it stays valid for"
      hasKinds={vendor === "launchdarkly"}
      done={`${name} uses the new key.`}
      rotate={async (body) => {
        const answer = await call("rotateDestinationKey", { params: { environment, destination: name }, body });
        onDone(answer.unconfirmed ?? []);
      }}
      onClose={onClose}
    />
  );
}
