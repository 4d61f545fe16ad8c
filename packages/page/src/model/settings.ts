/** Options with their values in force, one a row. */
import { shortBytes } from "../format/numbers.ts";
import { duration } from "../format/times.ts";

export interface SettingRow {
  /** `retry.maxAttempts`. */
  readonly name: string;
  /** With its unit, where the name has one. */
  readonly shown: string;
  /** The value as it is. */
  readonly whole: string;
}

export function settingRows(settings: Readonly<Record<string, unknown>>, prefix = ""): readonly SettingRow[] {
  return Object.entries(settings).flatMap(([key, value]) => {
    const name = `${prefix}${key}`;
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return settingRows(value as Readonly<Record<string, unknown>>, `${name}.`);
    return [{ name, shown: shownSetting(name, value), whole: JSON.stringify(value) ?? "" }];
  });
}

function shownSetting(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("Ms")) return duration(value);
  if (typeof value === "number" && name.endsWith("Bytes")) return shortBytes(value);
  if (value === null || value === undefined) return "not set";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map((one) => shownSetting("", one)).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
