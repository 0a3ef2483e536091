// @ts-check
/**
 * What every page before the call does: tells the server the browser's time zone once, puts the answer into the page,
 * and leads to what has to be looked at again.
 */

import { post } from "./api.js";

/** Rewrites day, clock and zone if this browser is somewhere else than the page thinks. */
async function useOwnZone() {
  const holder = document.querySelector("[data-when-zone]");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!holder || !zone || zone === holder.getAttribute("data-when-zone")) return;
  try {
    const when = await post("/visit/time-zone", { time_zone: zone });
    if (holder.hasAttribute("data-when-reload")) {
      location.reload(); // days and times of this page are grouped by the server
      return;
    }
    for (const place of holder.querySelectorAll("[data-when]")) {
      place.textContent = when[place.getAttribute("data-when") ?? ""] ?? place.textContent;
    }
    holder.setAttribute("data-when-zone", zone);
  } catch {
    // The page already shows a right time with its zone's name.
  }
}

/** @type {HTMLElement | null} */ (document.querySelector("[data-error-summary]"))?.focus();
void useOwnZone();
