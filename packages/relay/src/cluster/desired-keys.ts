/**
 * More than operators ask for: a pause is one key, a rotation another, a replay one and one more
 * for each partition in which it is over. Who else can write to the topic must not fill our memory.
 */
const KEYS_MAX = 100_000;
/** Of all keys and what they have. */
const CHARACTERS_MAX = 32 * 1024 * 1024;

/** Which keys of `<prefix>.desired` are kept in memory: the first ones that there is room for. */
export class DesiredKeys {
  /** By key, its characters and those of what it has. */
  readonly #kept = new Map<string, number>();
  #characters = 0;

  /** Whether there is room for what a key is to have. */
  hasRoomFor(key: string, value: string): boolean {
    const kept = this.#kept.get(key);
    const characters = this.#characters - (kept ?? 0) + key.length + value.length;
    return characters <= CHARACTERS_MAX && (kept !== undefined || this.#kept.size < KEYS_MAX);
  }

  /** Only where there is room. */
  keep(key: string, value: string): void {
    this.drop(key);
    this.#kept.set(key, key.length + value.length);
    this.#characters += key.length + value.length;
  }

  drop(key: string): void {
    this.#characters -= this.#kept.get(key) ?? 0;
    this.#kept.delete(key);
  }
}
