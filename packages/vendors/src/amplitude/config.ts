/** What the configuration knows of Amplitude. */
import { z } from "zod";
import { count, type NoOptions, noOptions, type OptionsSchema, text, type VendorConfig } from "../config.ts";
import type { AmplitudeApi } from "./outbound.ts";

export interface AmplitudeDestinationOptions {
  /** The endpoint that takes the events. Default: `v2`. */
  readonly api: AmplitudeApi;
  /** The type of group that a canonical group is of. Default: `company`. */
  readonly groupType: string;
  /** The shortest id of a user or device that the project takes, in characters. Default: 5. */
  readonly minIdLength: number;
}

const MIN_ID_LENGTH_DEFAULT = 5;
/** An id is a text of at most 1,024 characters. */
const ID_MAX_CHARACTERS = 1_024;

const destination: OptionsSchema<AmplitudeDestinationOptions> = z.strictObject({
  api: z.enum(["v2", "batch"]).default("v2").meta({
    description:
      "The endpoint that takes the events: `v2` shows them at once and takes 30 a second of one user, `batch` takes a thousand; it is for replays.",
  }),
  groupType: text({ description: "The type of group that a canonical group is of.", example: "company" }).default(
    "company",
  ),
  minIdLength: count({
    min: 1,
    max: ID_MAX_CHARACTERS,
    description:
      "The shortest id of a user or device, in characters, that events of other vendors may have. Amplitude refuses shorter ones than 5 unless a request allows them.",
  }).default(MIN_ID_LENGTH_DEFAULT),
});

export const amplitudeConfig: VendorConfig<NoOptions, AmplitudeDestinationOptions> = {
  source: noOptions,
  destination,
  fields: {
    holding: ["event_properties", "user_properties", "group_properties", "groups", "plan", "ingestion_metadata"],
    single: [
      "adid",
      "android_id",
      "app_version",
      "carrier",
      "city",
      "country",
      "currency",
      "device_brand",
      "device_id",
      "device_manufacturer",
      "device_model",
      "dma",
      "event_id",
      "event_type",
      "group_type",
      "group_value",
      "idfa",
      "idfv",
      "insert_id",
      "ip",
      "language",
      "library",
      "location_lat",
      "location_lng",
      "os_name",
      "os_version",
      "partner_id",
      "platform",
      "price",
      "productId",
      "quantity",
      "region",
      "revenue",
      "revenueType",
      "session_id",
      "time",
      "user_agent",
      "user_id",
    ],
  },
};
