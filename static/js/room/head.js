// @ts-check
/** The head's right end: how much time is left, and how good the line is. */

import { find } from "../parts.js";
import { _, ngettext } from "../words.js";

const TICK_MS = 10_000;

/**
 * @param {HTMLElement} root
 * @param {{endsAt: string, quality: import("./quality.js").Quality, media: import("./media.js").Media}} given
 * @returns {() => void}
 */
export function mount(root, { endsAt, quality, media }) {
  const left = find(root, "[data-time-left]", HTMLElement);
  const leftWords = find(root, "[data-time-left-words]", HTMLElement);
  const line = find(root, "[data-quality]", HTMLElement);
  const word = find(root, "[data-quality-word]", HTMLElement);

  function time() {
    const minutes = Math.ceil((Date.parse(endsAt) - Date.now()) / 60_000);
    left.hidden = Number.isNaN(minutes);
    leftWords.textContent = minutes > 0 ? ngettext("{count} min left", "{count} min left", minutes) : _("The booked time is over");
    left.classList.toggle("is-late", minutes <= 0);
  }

  function state() {
    const shown = quality.word ?? (media.state === "idle" ? null : "Connecting");
    line.hidden = shown === null;
    line.dataset.quality = shown ?? "";
    word.textContent = { Good: _("Good"), Weak: _("Weak"), Bad: _("Bad"), Connecting: _("Connecting…") }[shown ?? "Connecting"];
  }

  const timer = setInterval(time, TICK_MS);
  const off = [quality.on("word", state), media.on("state", state)];
  time();
  state();
  return () => {
    clearInterval(timer);
    off.forEach((one) => one());
  };
}
