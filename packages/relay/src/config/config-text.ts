export interface ConfigText {
  /** Its name, for error messages. */
  readonly file: string;
  readonly text: string;
}

/** Of a file; one of a thousand destinations has a third of it. */
export const CONFIG_MAX_BYTES: number = 1024 * 1024;
