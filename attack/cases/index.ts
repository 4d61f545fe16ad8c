import type { Attack } from "../lib/stage.ts";
import { encodings } from "./encodings.ts";

/** Every case, those of one scene beside each other. */
export const ATTACKS: readonly Attack[] = [...encodings];
