// @ts-check
/**
 * Draws a board that came from the server: places the day's blocks by their time, the line of now, and counts how long
 * somebody waits. All times are the server's: a wrong clock in the browser changes nothing.
 */

import { serverNow } from "./clock.js";

const HOUR_PX = 78;
const MOST_HOUR_PX = 156;
const LINE_PX = 26; // the least height at which a block's first line can be read
const TWO_LINES_PX = 48;
const MINUTE_MS = 60_000;

/** Draw whatever of a board there is within root. @param {ParentNode} root */
export function place(root) {
  const day = root.querySelector("[data-day]");
  if (day instanceof HTMLElement) placeDay(day);
  count(root);
}

/** @param {HTMLElement} day */
function placeDay(day) {
  const blocks = /** @type {HTMLElement[]} */ ([...day.querySelectorAll("[data-from]")]);
  const shortest = Math.min(60, ...blocks.map((block) => Number(block.dataset.long)));
  const hour = Math.min(Math.max(HOUR_PX, (LINE_PX * 60) / shortest), MOST_HOUR_PX);
  day.style.setProperty("--hour", `${hour}px`);
  day.style.setProperty("--minutes", day.dataset.minutes ?? "540");
  for (const block of blocks) placeBlock(block, hour);
  day.classList.add("is-placed");
  drawNow(day);
  letScroll();
}

/** @param {HTMLElement} block @param {number} hour px */
function placeBlock(block, hour) {
  block.style.setProperty("--from", block.dataset.from ?? "0");
  block.style.setProperty("--long", block.dataset.long ?? "45");
  block.classList.toggle("is-short", (Number(block.dataset.long) * hour) / 60 < TWO_LINES_PX);
}

/** Place one more block among those that stand already. @param {HTMLElement} block @param {HTMLElement} day */
export function placeInto(block, day) {
  placeBlock(block, parseFloat(day.style.getPropertyValue("--hour")) || HOUR_PX);
}

/** Move on what depends on the time that passes. @param {ParentNode} root */
export function count(root) {
  for (const place of root.querySelectorAll("[data-since]")) {
    if (!(place instanceof HTMLElement)) continue;
    const minutes = String(Math.max(0, Math.floor((serverNow() - Number(place.dataset.since)) / MINUTE_MS)));
    if (place.textContent !== minutes) place.textContent = minutes;
  }
  const day = root.querySelector("[data-day]");
  if (day instanceof HTMLElement) drawNow(day);
}

/** @param {HTMLElement} day */
function drawNow(day) {
  const line = day.querySelector("[data-now-line]");
  if (!(line instanceof HTMLElement)) return;
  const at = Math.floor((serverNow() - Number(day.dataset.fromMs)) / MINUTE_MS);
  line.hidden = at < 0 || at > Number(day.dataset.minutes);
  line.style.setProperty("--now", String(at));
}

/** A frame that scrolls can be reached by keyboard; one that does not is no stop on the way. */
export function letScroll() {
  const frame = document.querySelector("[data-day-frame]");
  if (!(frame instanceof HTMLElement)) return;
  if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
  else frame.removeAttribute("tabindex");
}
