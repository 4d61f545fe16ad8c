import type { JSX } from "preact";
import { Badge } from "../ui/badges.tsx";
import { Age } from "../ui/values.tsx";
import type { DeadLetterSummary } from "./use-dead-letters.ts";

export interface DeadLetterRowProps {
  readonly row: DeadLetterSummary;
  readonly isSelected: boolean;
  readonly onToggle: () => void;
  readonly onInspect: () => void;
}

export function DeadLetterRow({ row, isSelected, onToggle, onInspect }: DeadLetterRowProps): JSX.Element {
  const { id, state, rejectedAtMs, reason, name, messageId } = row;
  return (
    <div class="dead-row">
      <input
        type="checkbox"
        aria-label={`Select dead letter ${id}, ${name}`}
        checked={isSelected}
        disabled={state !== "waiting"}
        onChange={onToggle}
      />
      <button type="button" class="plain row-open" onClick={onInspect}>
        <span class="row-name">
          <span class="visually-hidden">Inspect dead letter {id}, </span>
          {name === "" ? "(no name)" : name}
        </span>
        <code class="row-id" title={messageId}>
          {messageId}
        </code>
      </button>
      <span class="row-reason" title={reason}>
        {reason}
      </span>
      <span class="row-age">
        {state === "waiting" ? null : <Badge name={state} />} <Age at={rejectedAtMs} />
      </span>
    </div>
  );
}
