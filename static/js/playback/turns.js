// @ts-check
/** What was said, beside the player: every time becomes a button, the current turn is marked and kept in sight. */

import { element } from "../parts.js";
import { _ } from "../words.js";

/** @typedef {import("./lanes.js").Voice} Voice */

const TAIL_MS = 700; // how long a turn stays marked when nobody speaks after it

/**
 * @param {HTMLElement} root
 * @param {(atMs: number) => void} seek
 */
export function mountTurns(root, seek) {
  const rows = /** @type {HTMLElement[]} */ ([...root.querySelectorAll(".turn")]);
  const voices = rows.map((row) => ({
    row,
    written: row.classList.contains("turn-written"),
    start_ms: Number(row.dataset.start),
    end_ms: Number(row.dataset.end),
    person: row.dataset.person ?? "",
  }));
  for (const voice of voices) {
    const place = voice.row.querySelector(".turn-at");
    if (!place) continue;
    const time = place.textContent ?? "";
    const button = element("button", { type: "button", className: "turn-at", "aria-label": _("Play from {time}", { time }) }, time);
    button.addEventListener("click", () => seek(voice.start_ms));
    place.replaceWith(button);
  }
  /** @type {HTMLElement | null} */
  let marked = null;

  return {
    /** @type {Voice[]} */
    voices: voices.filter((voice) => !voice.written),
    /** Who speaks at this moment. @param {number} atMs @returns {Set<string>} */
    speaking(atMs) {
      const now = voices.filter((voice) => !voice.written && atMs >= voice.start_ms && atMs < voice.end_ms);
      return new Set(now.map((voice) => voice.person));
    },
    /** @param {number} atMs @param {boolean} keepInSight */
    show(atMs, keepInSight) {
      let current = null;
      for (const voice of voices) {
        if (voice.start_ms > atMs) break;
        if (atMs < voice.end_ms + TAIL_MS) current = voice.row;
      }
      if (current === marked) return;
      marked?.classList.remove("turn-now");
      marked?.removeAttribute("aria-current");
      marked = current;
      if (!current) return;
      current.classList.add("turn-now");
      current.setAttribute("aria-current", "true");
      if (keepInSight) keepVisible(current);
    },
  };
}

/** Scroll the list, never the page. @param {HTMLElement} row */
function keepVisible(row) {
  const list = row.parentElement;
  if (!list || list.scrollHeight <= list.clientHeight) return;
  const top = row.offsetTop - list.offsetTop;
  if (top < list.scrollTop || top + row.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 3;
  }
}
