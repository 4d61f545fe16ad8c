/**
 * What a construction of several steps has opened so far: closed again, the newest first, when a
 * later step fails.
 */
export class Cleanup {
  readonly #steps: (() => unknown)[] = [];

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Runs `build`; if it fails, takes back what was added, and fails as it did. */
  static async around<T>(build: (cleanup: Cleanup) => Promise<T>): Promise<T> {
    const cleanup = new Cleanup();
    try {
      return await build(cleanup);
    } catch (error) {
      await cleanup.run();
      throw error;
    }
  }

  async run(): Promise<void> {
    for (const step of this.#steps.toReversed()) {
      try {
        await step();
      } catch {
        // The failure that led here is the one to report.
      }
    }
  }
}
