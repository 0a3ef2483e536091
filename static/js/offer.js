// @ts-check
/**
 * The door to an offered time. Takes the link's secret out of the address bar at once, keeps it in this tab alone, and
 * puts it into the form that is sent when the person presses. Behind it, once answered, the secret is dropped.
 */

import { forgetSecret, takeSecret } from "./link_secret.js";
import { find } from "./parts.js";

/** For a reload of this tab before the button was pressed. */
const KEY = "consult.offer";

/** @param {HTMLElement} door */
function fill(door) {
  for (const field of door.querySelectorAll("[data-offer-zone]")) {
    /** @type {HTMLInputElement} */ (field).value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  }
  const secret = takeSecret(KEY);
  // What the server said about a link that was pasted stays in sight.
  if (!secret || door.querySelector("[data-error-summary]")) return;
  find(door, "[data-offer-secret]", HTMLInputElement).value = secret;
  for (const view of door.querySelectorAll("[data-offer-view]")) {
    /** @type {HTMLElement} */ (view).hidden = view.getAttribute("data-offer-view") !== "link";
  }
}

const door = /** @type {HTMLElement | null} */ (document.querySelector("[data-offer]"));
if (document.querySelector("[data-offer-answered]")) forgetSecret(KEY);
if (door) {
  fill(door);
  // A second link opened in the same tab changes the fragment alone.
  window.addEventListener("hashchange", () => fill(door));
}
