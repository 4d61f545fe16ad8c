/** The server: routes in, log, one lane per destination out, admin API. */
export {};
