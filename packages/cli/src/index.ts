/** The waybill command, over the relay, the admin API and the log. */
export {};
