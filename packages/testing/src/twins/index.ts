/** Vendors' servers for tests: `const letter = new twins.LetterTwin(); const { url } = await letter.listen();`. */
export type { GetFluxlyProfile, GetFluxlyTwinOptions } from "./getfluxly.ts";
export { GetFluxlyTwin } from "./getfluxly.ts";
export type { LaunchDarklyPayload, LaunchDarklyTwinOptions } from "./launchdarkly.ts";
export { LaunchDarklyTwin } from "./launchdarkly.ts";
export type { LetterAccount, LetterContact, LetterTwinOptions } from "./letter.ts";
export { LetterTwin } from "./letter.ts";
export type { PosthogTwinOptions } from "./posthog.ts";
export { PosthogTwin } from "./posthog.ts";
export type { SegmentTwinOptions, TwinEvent } from "./segment.ts";
export { SegmentTwin } from "./segment.ts";
export type { TrophyAchievement, TrophyTwinOptions } from "./trophy.ts";
export { TrophyTwin } from "./trophy.ts";
export type { Streak } from "./trophy-streak.ts";
export type { Post, TwinFailure, TwinOptions } from "./twin.ts";
export { VendorTwin } from "./twin.ts";
export type { ValuedTwinOptions } from "./valued.ts";
export { ValuedTwin } from "./valued.ts";
