/** Labelled inputs, and the filters that are kept in the URL. */
import type { JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { after, type Timer } from "../browser/clock.ts";
import { fromLocalInput, toLocalInput } from "../format/times.ts";

export interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly type?: "text" | "password" | "number" | "search";
  readonly hint?: string;
  readonly placeholder?: string;
  readonly isRequired?: boolean;
  readonly autoComplete?: string;
}

export function Field(props: FieldProps): JSX.Element {
  const {
    label,
    value,
    onChange,
    type = "text",
    hint,
    placeholder = "",
    isRequired = false,
    autoComplete = "off",
  } = props;
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type={type as "text"}
        value={value}
        placeholder={placeholder}
        required={isRequired}
        autoComplete={autoComplete}
        spellcheck={false}
        {...(hint === undefined ? {} : { "aria-describedby": `${id}-hint` })}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {hint === undefined ? null : (
        <span class="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
    </div>
  );
}

/** Characters come faster than a list can be filtered. */
const TYPING_MS = 250;

/** A field that reports what was typed when the typing pauses. */
export function FilterField({ value, onChange, ...rest }: FieldProps): JSX.Element {
  const [typed, setTyped] = useState(value);
  const timer = useRef<Timer | undefined>(undefined);
  const reported = useRef(value);
  useEffect(() => {
    // The URL was changed by something else: a link, or the back button.
    if (value === reported.current) return;
    reported.current = value;
    setTyped(value);
  }, [value]);
  useEffect(() => () => timer.current?.cancel(), []);
  const change = (next: string): void => {
    setTyped(next);
    timer.current?.cancel();
    timer.current = after(TYPING_MS, () => {
      reported.current = next;
      onChange(next);
    });
  };
  return <Field {...rest} value={typed} onChange={change} />;
}

export interface TimeFieldProps {
  readonly label: string;
  /** ISO 8601 in UTC, or nothing. */
  readonly value: string;
  readonly onChange: (value: string) => void;
}

/** In the reader's zone. */
export function TimeField({ label, value, onChange }: TimeFieldProps): JSX.Element {
  const id = useId();
  return (
    <div class="field time">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="datetime-local"
        step={1}
        value={toLocalInput(value)}
        title={value}
        onChange={(event) => onChange(fromLocalInput(event.currentTarget.value))}
      />
    </div>
  );
}

export interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  /** Each with what it is called. */
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string) => void;
}

export function Choice({ label, value, options, onChange }: ChoiceProps): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}
