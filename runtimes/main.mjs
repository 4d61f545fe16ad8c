import { send } from "./send.mjs";

console.log(JSON.stringify(await send(globalThis.Deno === undefined ? process.argv[2] : Deno.args[0])));
