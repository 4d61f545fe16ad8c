/** Shared by what makes the index and what searches in it. */
import type { Options } from "minisearch";

export interface Searched {
  /** Its place on the site, with the anchor. */
  readonly id: string;
  readonly page: string;
  /** That of the page for what is before its first section. */
  readonly heading: string;
  readonly text: string;
}

const HEADING_COUNTS = 4;
const PAGE_COUNTS = 3;
/** A longer word may have a typing error in it. */
const FUZZY_FROM = 5;
const FUZZY = 0.2;

export const SEARCH_OPTIONS: Options<Searched> = {
  fields: ["heading", "page", "text"],
  storeFields: ["page", "heading"],
  searchOptions: {
    boost: { heading: HEADING_COUNTS, page: PAGE_COUNTS },
    combineWith: "AND",
    prefix: true,
    fuzzy: (term) => (term.length >= FUZZY_FROM ? FUZZY : false),
  },
};
