import { getRandomValues } from "node:crypto";
import type { Random } from "@waybill/core";

export const nodeRandom: Random = {
  next: () => Math.random(),
  fill(target) {
    getRandomValues(target);
  },
};
