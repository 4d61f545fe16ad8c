/** What the configuration knows of Mixpanel. */
import { z } from "zod";
import { flag, headerNames, key, type OptionsSchema, origins, text, type VendorConfig } from "../config.ts";
import type { MixpanelDestinationOptions, MixpanelSourceOptions } from "./options.ts";

const source: OptionsSchema<MixpanelSourceOptions> = z.strictObject({
  allowedOrigins: origins("Origins of pages that may send. Default: any."),
  allowedHeaders: headerNames("Headers that pages may send beside the usual ones."),
});

const serviceAccount = z
  .strictObject({
    username: key("Its name."),
    secret: key("Its secret."),
    projectId: key("The id of the project."),
  })
  .meta({ description: "The service account that sends events. Default: the project's token alone." });

const destination: OptionsSchema<MixpanelDestinationOptions> = z.strictObject({
  serviceAccount: serviceAccount.optional(),
  groupKey: text({
    description: "The property by which groups are known at Mixpanel, for events of other vendors. Default: company.",
    example: "team",
  }).optional(),
  sendsAliases: flag(
    "Whether the project merges ids by $create_alias, as older ones do. Else an alias is dropped.",
    false,
  ),
});

export const mixpanelConfig: VendorConfig<MixpanelSourceOptions, MixpanelDestinationOptions> = {
  source,
  destination,
  fields: {
    holding: ["properties", "$set", "$set_once", "$add", "$append", "$union", "$remove"],
    single: [
      "event",
      "$distinct_id",
      "$group_key",
      "$group_id",
      "$user_id",
      "$device_id",
      "$time",
      "$ip",
      "$unset",
      "$delete",
    ],
  },
};
