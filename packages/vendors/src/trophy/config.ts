/** What the configuration knows of Trophy. */
import { z } from "zod";
import { headerValue, type NoOptions, noOptions, type OptionsSchema, type VendorConfig } from "../config.ts";

export interface TrophyDestinationOptions {
  /** The tenant of events that name none. Default: none. */
  readonly tenantId?: string | undefined;
}

const destination: OptionsSchema<TrophyDestinationOptions> = z.strictObject({
  tenantId: headerValue("The tenant of events that name none.").optional(),
});

export const trophyConfig: VendorConfig<NoOptions, TrophyDestinationOptions> = {
  source: noOptions,
  destination,
  fields: {
    holding: ["user", "attributes"],
    single: ["value", "email", "name", "tz", "timeZone", "deviceTokens", "subscribeToEmails", "id"],
  },
};
