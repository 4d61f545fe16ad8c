/**
 * Canonical events: the Segment spec, the field's common language. Source:
 * segment.com/docs/connections/spec, read November 2026.
 */

export const EVENT_TYPES = ["identify", "track", "page", "screen", "group", "alias"] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** Anything JSON can say. */
export type Properties = Readonly<Record<string, unknown>>;

/** What every event may carry beside its ids. */
export interface CommonFields {
  /** When it happened, as a `Date` or ISO 8601. Default: now. */
  readonly timestamp?: Date | string | undefined;
  /** The circumstances: page, device, campaign, ip, locale. */
  readonly context?: Properties | undefined;
  /** Which destinations of the vendor's may have it: `{ All: false, Mixpanel: true }`. */
  readonly integrations?: Properties | undefined;
  /**
   * The event's own id, by which it is deduplicated. At most 99 characters. Default: a new UUIDv7.
   */
  readonly messageId?: string | undefined;
}

interface KnownUser {
  /** The id of a known user, as your database has it. Not empty. */
  readonly userId: string;
  /** The id of a user not known yet; beside a `userId` it says that both are one. */
  readonly anonymousId?: string | undefined;
}

interface AnonymousUser {
  /** The id of a known user, as your database has it. */
  readonly userId?: undefined;
  /** The id of a user not known yet: of a session, a device, a cookie. Not empty. */
  readonly anonymousId: string;
}

/** Whose event it is: a `userId`, an `anonymousId`, or both. */
export type UserIds = KnownUser | AnonymousUser;

/** What is known of a user. These have a meaning to vendors; any others may be beside them. */
export interface UserTraits extends Properties {
  /** Postal address: `{ city, country, postalCode, state, street }`. */
  readonly address?: Properties | undefined;
  /** In years. */
  readonly age?: number | string | undefined;
  /** URL of a picture. */
  readonly avatar?: string | undefined;
  /** A date: "1990-03-01". */
  readonly birthday?: Date | string | undefined;
  /** Where the user works: `{ name, id, industry, employee_count, plan }`. */
  readonly company?: Properties | undefined;
  /** When the account was made: ISO 8601. */
  readonly createdAt?: Date | string | undefined;
  /** In a sentence. */
  readonly description?: string | undefined;
  /** As it is written to. */
  readonly email?: string | undefined;
  /** Given name. */
  readonly firstName?: string | undefined;
  /** In the user's own term. */
  readonly gender?: string | undefined;
  /** The user's id in your database; `userId` stands for it in events. */
  readonly id?: string | undefined;
  /** Family name. */
  readonly lastName?: string | undefined;
  /** Whole; made of `firstName` and `lastName` by vendors where it is absent. */
  readonly name?: string | undefined;
  /** With country code: "+44 20 7946 0018". */
  readonly phone?: string | undefined;
  /** At work: "Head of Data". */
  readonly title?: string | undefined;
  /** Unique: what the user logs in with. */
  readonly username?: string | undefined;
  /** URL. */
  readonly website?: string | undefined;
}

/** What is known of a group. These have a meaning to vendors; any others may be beside them. */
export interface GroupTraits extends Properties {
  /** Postal address: `{ city, country, postalCode, state, street }`. */
  readonly address?: Properties | undefined;
  /** URL of a picture. */
  readonly avatar?: string | undefined;
  /** When the account was made: ISO 8601. */
  readonly createdAt?: Date | string | undefined;
  /** In a sentence. */
  readonly description?: string | undefined;
  /** As it is written to. */
  readonly email?: string | undefined;
  /** How many people. */
  readonly employees?: number | string | undefined;
  /** The group's id in your database; `groupId` stands for it in events. */
  readonly id?: string | undefined;
  /** "Software". */
  readonly industry?: string | undefined;
  /** As it is called. */
  readonly name?: string | undefined;
  /** With country code: "+44 20 7946 0018". */
  readonly phone?: string | undefined;
  /** What they pay for: "enterprise". */
  readonly plan?: string | undefined;
  /** URL. */
  readonly website?: string | undefined;
}

/** Where on a site. These have a meaning to vendors; any others may be beside them. */
export interface PageProperties extends Properties {
  /** Search terms that led there. */
  readonly keywords?: readonly string[] | string | undefined;
  /** As it is called. */
  readonly name?: string | undefined;
  /** Of the URL. */
  readonly path?: string | undefined;
  /** URL of the page before. */
  readonly referrer?: string | undefined;
  /** Query of the URL with its question mark. */
  readonly search?: string | undefined;
  /** As the browser shows it. */
  readonly title?: string | undefined;
  /** Whole. */
  readonly url?: string | undefined;
}

/** What the event is about. These have a meaning to vendors; any others may be beside them. */
export interface TrackProperties extends Properties {
  /** ISO 4217: "EUR". Default of most vendors: USD. */
  readonly currency?: string | undefined;
  /** Money that came in, in `currency`. */
  readonly revenue?: number | string | undefined;
  /** What the event is worth where no money came in. */
  readonly value?: unknown;
}

/** Who a user is. */
export type IdentifyEvent = CommonFields &
  UserIds & {
    /** What is known of the user. */
    readonly traits?: UserTraits | undefined;
  };

/** Something a user did. */
export type TrackEvent = CommonFields &
  UserIds & {
    /** What the user did: "Order Completed". Not empty. */
    readonly event: string;
    /** What it is about. */
    readonly properties?: TrackProperties | undefined;
  };

/** A page that a user saw. */
export type PageEvent = CommonFields &
  UserIds & {
    /** Of the page: "Pricing". */
    readonly name?: string | undefined;
    /** Of pages: "Docs". */
    readonly category?: string | undefined;
    /** Where on the site. */
    readonly properties?: PageProperties | undefined;
  };

/** A screen of an app that a user saw. */
export type ScreenEvent = CommonFields &
  UserIds & {
    /** Of the screen: "Basket". */
    readonly name?: string | undefined;
    /** Of screens. */
    readonly category?: string | undefined;
    /** What it showed. */
    readonly properties?: Properties | undefined;
  };

/** The group, such as a company, that a user belongs to. */
export type GroupEvent = CommonFields &
  UserIds & {
    /** The group's id, as your database has it. Not empty. */
    readonly groupId: string;
    /** What is known of the group. */
    readonly traits?: GroupTraits | undefined;
  };

/** Two ids of one user. */
export type AliasEvent = CommonFields & {
  /** The id from now on. Not empty. */
  readonly userId: string;
  /** Of this user, where there is one. */
  readonly anonymousId?: string | undefined;
  /** The id the user had before. Not empty. */
  readonly previousId: string;
};

export interface CanonicalEvents {
  readonly identify: IdentifyEvent;
  readonly track: TrackEvent;
  readonly page: PageEvent;
  readonly screen: ScreenEvent;
  readonly group: GroupEvent;
  readonly alias: AliasEvent;
}
