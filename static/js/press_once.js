// @ts-check
/**
 * On every page: a form that is on its way is not sent again by a second press. The server would know it for the same,
 * but what it answers to the first press alone, like a new link, would be lost.
 */

const FREE_AFTER_MS = 10_000; // by then the browser has either gone on or was stopped

addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || !(form instanceof HTMLFormElement) || form.method !== "post") return;
  if (form.hasAttribute("data-sent")) {
    event.preventDefault();
    return;
  }
  form.setAttribute("data-sent", "");
  setTimeout(() => form.removeAttribute("data-sent"), FREE_AFTER_MS);
});

// Whoever comes back to the page may press again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) form.removeAttribute("data-sent");
});
