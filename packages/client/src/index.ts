/** What an application imports: capture, flush, close. */
export {};
