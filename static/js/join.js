// @ts-check
/**
 * The door. Takes the link's secret out of the address bar at once, keeps it in this tab alone, and sends it only when
 * the person presses Join. Without a secret the page stays as the server sent it: number and code.
 */

import { ApiError, post } from "./api.js";
import { forgetSecret, secretInAddress, takeSecret } from "./link_secret.js";
import { find } from "./parts.js";
import { _, ready } from "./words.js";

/** For a reload of this tab before Join was pressed; gone as soon as the link was used. */
const KEY = "consult.link";

/** @param {HTMLElement} door @param {"link" | "code" | "closed"} name */
function show(door, name) {
  for (const view of door.querySelectorAll("[data-join-view]")) {
    /** @type {HTMLElement} */ (view).hidden = view.getAttribute("data-join-view") !== name;
  }
}

/** Sends the secret when the button is pressed. @param {HTMLElement} door */
function mount(door) {
  const button = find(door, '[data-action="join"]', HTMLButtonElement);
  const problem = find(door, "[data-join-problem]", HTMLElement);
  const words = button.textContent;
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    button.textContent = door.dataset.wait ?? words;
    problem.hidden = true;
    try {
      const { next } = await post("/join", { secret });
      forgetSecret(KEY);
      location.replace(next);
    } catch (error) {
      button.ariaDisabled = "false";
      button.textContent = words;
      explain(door, problem, error);
    }
  });
}

/** @param {HTMLElement} door @param {HTMLElement} problem @param {unknown} error */
async function explain(door, problem, error) {
  await ready;
  const used = error instanceof ApiError ? error : null;
  if (used && (used.code.startsWith("link.") || used.status === 422)) {
    forgetSecret(KEY);
    show(door, "closed");
    find(door, '[data-join-view="closed"] h1', HTMLElement).focus();
    return;
  }
  problem.textContent =
    used?.status === 429
      ? _("That was tried too often. Please wait 10 minutes, then press Join again.")
      : used?.message ?? _("Something went wrong. Please press Join again.");
  problem.hidden = false;
}

const door = find(document, "[data-join]", HTMLElement);
let secret = takeSecret(KEY);
mount(door);
// What the server said about a form that was sent stays in sight.
if (secret && !door.querySelector("[role='alert']:not([hidden])")) show(door, "link");

// A second link opened in the same tab changes the fragment alone.
window.addEventListener("hashchange", () => {
  if (!secretInAddress()) return;
  secret = takeSecret(KEY);
  show(door, "link");
});
