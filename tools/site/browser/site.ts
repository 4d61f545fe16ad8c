/** The theme, the navigation of narrow windows, copying, the search. Pages are read without it. */
import { startSearch } from "./search.ts";

const root = document.documentElement;

const theme = document.querySelector<HTMLButtonElement>(".theme");
theme?.addEventListener("click", () => {
  const isDark = root.dataset["theme"] ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset["theme"] = isDark === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("waybill-docs-theme", root.dataset["theme"]);
  } catch {
    // It holds for this page.
  }
});

const menu = document.querySelector<HTMLButtonElement>(".menu");
menu?.addEventListener("click", () => {
  const isOpen = root.classList.toggle("menu-open");
  menu.setAttribute("aria-expanded", String(isOpen));
});

for (const figure of document.querySelectorAll<HTMLElement>("figure.code:not(.output)")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", () => void copy(figure, button));
  figure.append(button);
}

async function copy(figure: HTMLElement, button: HTMLButtonElement): Promise<void> {
  const text = figure.querySelector("code")?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => {
    button.textContent = "Copy";
  }, 2_000);
}

// Without this file there is nothing to press.
for (const control of document.querySelectorAll<HTMLElement>(".theme, .menu, .search")) control.hidden = false;
startSearch(root.dataset["root"] ?? "");
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest" });
