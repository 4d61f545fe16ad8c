import { TROPHY_URL } from "@waybill/vendors";

/** Where Trophy's APIs are, with their versions. */
export interface TrophyApiEnvironmentUrls {
  /** Of the application API. */
  readonly api: string;
  /**
   * Of the admin API, which this client does not use: taken so that a value of the vendor's own
   * client fits.
   */
  readonly admin?: string;
}

/**
 * The environments that the vendor's clients name; `DEFAULT` is the Ruby client's name for
 * `Production`.
 */
export const TrophyApiEnvironment: Readonly<Record<"Production" | "DEFAULT", TrophyApiEnvironmentUrls>> = {
  Production: { api: TROPHY_URL, admin: "https://admin.trophy.so/v1" },
  DEFAULT: { api: TROPHY_URL, admin: "https://admin.trophy.so/v1" },
};
