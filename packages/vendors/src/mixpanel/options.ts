/**
 * Mixpanel's own options of a source and a destination, as types alone: the published client's
 * types reach them, and must not reach the schemas.
 */
import type { MixpanelServiceAccount } from "./outbound.ts";

export interface MixpanelSourceOptions {
  /** Origins of pages that may send. Default: none listed, so any may. */
  readonly allowedOrigins: readonly string[];
  /** Headers that pages may send beside the usual ones. Default: none. */
  readonly allowedHeaders: readonly string[];
}

export interface MixpanelDestinationOptions {
  /** Who sends events. Default: the project's token alone. */
  readonly serviceAccount?: MixpanelServiceAccount | undefined;
  /** The property by which groups are known at Mixpanel. Default: `company`. */
  readonly groupKey?: string | undefined;
  /** Whether the project merges ids by `$create_alias`. Default: false. */
  readonly sendsAliases: boolean;
}
