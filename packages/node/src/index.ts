/** The real runtime on Node: clock, random, disk and HTTP transport. */
export {};
