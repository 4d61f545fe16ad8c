import { type DiskSpaceView, diskSpaceOf } from "@waybill/node";

/** What is left on the disk of a directory, as it was when somebody looked last. */
export class DiskSpace {
  readonly #directory: string;
  #last: DiskSpaceView | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** `undefined` while it is not known. */
  get last(): DiskSpaceView | undefined {
    return this.#last;
  }

  /** The answer is in {@link last} when it has come. Never throws. */
  look(): void {
    void diskSpaceOf(this.#directory).then((space) => {
      this.#last = space;
    });
  }
}
