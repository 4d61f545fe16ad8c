/**
 * Vendors' servers for tests: `const letter = new emulators.LetterEmulator(); const { url } = await
 * letter.listen();`.
 */

export type { AmplitudeEmulatorOptions, LateFailure } from "./amplitude.ts";
export { AmplitudeEmulator } from "./amplitude.ts";
export type { EmulatorFailure, EmulatorOptions, Post } from "./emulator.ts";
export { VendorEmulator } from "./emulator.ts";
export type { GetFluxlyEmulatorOptions, GetFluxlyProfile } from "./getfluxly.ts";
export { GetFluxlyEmulator } from "./getfluxly.ts";
export type { LaunchDarklyEmulatorOptions, LaunchDarklyPayload } from "./launchdarkly.ts";
export { LaunchDarklyEmulator } from "./launchdarkly.ts";
export type { LetterAccount, LetterContact, LetterEmulatorOptions } from "./letter.ts";
export { LetterEmulator } from "./letter.ts";
export type { MixpanelDrop, MixpanelEmulatorOptions, MixpanelServiceAccount } from "./mixpanel.ts";
export { MixpanelEmulator } from "./mixpanel.ts";
export type { MixpanelProfiles } from "./mixpanel-profiles.ts";
export type { PosthogEmulatorOptions } from "./posthog.ts";
export { PosthogEmulator } from "./posthog.ts";
export type { EmulatorEvent, SegmentEmulatorOptions } from "./segment.ts";
export { SegmentEmulator } from "./segment.ts";
export type { TrophyAchievement, TrophyEmulatorOptions } from "./trophy.ts";
export { TrophyEmulator } from "./trophy.ts";
export type { Streak } from "./trophy-streak.ts";
export type { ValuedEmulatorOptions } from "./valued.ts";
export { ValuedEmulator } from "./valued.ts";
