/** GetFluxly's own client: an unknown visitor becomes a user. Argument: the URL of the vendor. */
import { GetFluxlyClient, GetFluxlyError } from "waybill/getfluxly";

const [apiHost = "https://api.getfluxly.com"] = process.argv.slice(2);
const fluxly = new GetFluxlyClient({ token: "gflux_secret_1", apiHost });
fluxly.track({ event: "pricing_viewed", anonymousId: "anon-3" });
fluxly.identify({ anonymousId: "anon-3", userId: "u-9", traits: { plan: "team" } });
try {
  console.log(await fluxly.flush());
  console.log((await fluxly.alias({ userId: "u-9", previousId: "old-9" })).previous_id);
} catch (error) {
  if (error instanceof GetFluxlyError) console.warn(error.code, error.retryable);
  else throw error;
}
await fluxly.close();
