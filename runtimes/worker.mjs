import { send } from "./send.mjs";

export default {
  async fetch(request) {
    return Response.json(await send(new URL(request.url).searchParams.get("to")));
  },
};
