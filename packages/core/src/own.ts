/**
 * The member of that name, if the object has it itself. For names that strangers choose:
 * `record[name]` would also find what every object inherits, such as `constructor`.
 */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
