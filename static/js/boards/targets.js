// @ts-check
/**
 * The free times that an appointment could move to, as buttons on the board; walking through them by the arrow keys.
 */

import { element, icon } from "../parts.js";
import { _ } from "../words.js";
import { placeInto } from "./place.js";

/** @typedef {{expert: number, expert_name: string, at: string, at_ms: number, day: string, time: string}} Target */
/** @typedef {{target: Target, button: HTMLButtonElement, column: number}} Offered */

/**
 * Draw the targets into the columns of a day, or of a week's days. What has no column is left out.
 * @param {HTMLElement} root
 * @param {Target[]} targets
 * @param {number} minutes
 * @param {(target: Target) => void} choose
 * @returns {Offered[]} in the order of columns, then of time
 */
export function drawTargets(root, targets, minutes, choose) {
  /** @type {Offered[]} */
  const offered = [];
  const day = root.querySelector("[data-day]");
  const columns = [...root.querySelectorAll(day ? "[data-expert]" : "[data-day-of-week]")];
  for (const [number, column] of columns.entries()) {
    const list = column.querySelector("ol");
    if (!(column instanceof HTMLElement) || !list) continue;
    const fitting = targets.filter((one) =>
      day ? String(one.expert) === column.dataset.expert : one.day === column.dataset.dayOfWeek,
    );
    for (const target of fitting.sort((one, other) => one.at_ms - other.at_ms)) {
      const whose = element("span", { className: day ? "out-of-sight" : "" }, ` ${target.expert_name}`);
      const button = element(
        "button",
        { type: "button", "data-target": target.at },
        element("b", {}, target.time),
        element("span", {}, icon("plus", "small"), day ? _("Move here") : null, whose),
      );
      button.addEventListener("click", () => choose(target));
      const block = element("li", { className: "slot slot-target" }, button);
      if (day instanceof HTMLElement) {
        block.dataset.from = String(Math.round((target.at_ms - Number(day.dataset.fromMs)) / 60_000));
        block.dataset.long = String(minutes);
        placeInto(block, day);
      }
      list.append(block);
      offered.push({ target, button, column: number });
    }
  }
  return offered;
}

/**
 * Return the place to go to by a key from another, or the same place if there is none that way.
 * Up and down go through a column, left and right to the closest time of the next column with any.
 * @param {Offered[]} offered
 * @param {number} at
 * @param {string} key
 */
export function walk(offered, at, key) {
  const here = offered[at];
  if (!here) return at;
  if (key === "Home") return 0;
  if (key === "End") return offered.length - 1;
  if (key === "ArrowDown" || key === "ArrowUp") {
    const next = at + (key === "ArrowDown" ? 1 : -1);
    return offered[next] ? next : at;
  }
  const ahead = key === "ArrowRight" ? 1 : -1;
  const columns = offered.map((one) => one.column).filter((one) => (one - here.column) * ahead > 0);
  if (!columns.length) return at;
  const column = ahead > 0 ? Math.min(...columns) : Math.max(...columns);
  let best = at;
  let least = Infinity;
  for (const [place, one] of offered.entries()) {
    // Days of a week are compared by the time of day.
    const away = Math.abs(timeOfDay(one.target) - timeOfDay(here.target));
    if (one.column === column && away < least) [best, least] = [place, away];
  }
  return best;
}

/** @param {Target} target minutes from midnight in the board's zone */
function timeOfDay(target) {
  const [hours, minutes] = target.time.split(":").map(Number);
  return (hours ?? 0) * 60 + (minutes ?? 0);
}
