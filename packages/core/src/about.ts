/** Of every package. `npm run release` writes it; it is the one in each package.json. */
export const VERSION = "0.1.0";
