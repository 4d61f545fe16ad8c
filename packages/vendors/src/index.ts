/** How each vendor's events look on the wire and what its answers mean, in both directions. */
export {};
