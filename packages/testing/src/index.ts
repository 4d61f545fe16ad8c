/** Virtual clock, seeded chance, simulated disk and network, vendor twins, contract suites. */
export {};
