/** Before the page is drawn, so that it is never drawn in the other theme. */
try {
  const chosen = localStorage.getItem("waybill-docs-theme");
  if (chosen !== null) document.documentElement.dataset["theme"] = chosen;
} catch {
  // Without a place to keep the choice the system's theme is used.
}
