/** Units of the limits that adapters state. */
export const KIB = 1_024;
export const MIB: number = 1_024 * KIB;
