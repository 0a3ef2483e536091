// @ts-check
/** Copies the link beside the button and says so once, in words that screen readers hear too. */

import { _ } from "./words.js";

const button = document.querySelector("[data-copy]");
const source = document.querySelector("[data-copy-from]");
const said = document.querySelector("[data-copy-said]");

if (button instanceof HTMLButtonElement && source instanceof HTMLInputElement && said) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    source.select();
    said.textContent = "";
    try {
      await navigator.clipboard.writeText(source.value);
      said.textContent = _("The link is copied.");
    } catch {
      // The browser keeps its clipboard closed; the link is selected already.
      said.textContent = _("The link is selected. Copy it with Ctrl+C, or ⌘C on a Mac.");
      source.focus();
    }
  });
}
