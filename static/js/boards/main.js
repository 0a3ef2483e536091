// @ts-check
/** Every board: draws it, keeps it as it is now, and lets appointments be moved where there is something to move. */

import { find } from "../parts.js";
import { _, ready } from "../words.js";
import { setServerNow } from "./clock.js";
import { keepLive } from "./live.js";
import { morph } from "./morph.js";
import { letMove } from "./move.js";
import { count, letScroll, place } from "./place.js";

const COUNT_EVERY_MS = 5_000;

const root = find(document, "[data-live]", HTMLElement);
const old = find(document, "[data-board-old]", HTMLElement);
/** What came while something was being moved, which must not be pulled from under the hand. @type {Element | null} */
let waiting = null;
let mover = { isOpen: () => false, taken: () => {} };

setServerNow(Number(root.dataset.nowMs));
place(root);
window.addEventListener("resize", letScroll);
window.setInterval(() => count(root), COUNT_EVERY_MS);

/** @param {Element} fresh */
function take(fresh) {
  setServerNow(Number(fresh.getAttribute("data-now-ms")));
  if (mover.isOpen()) {
    waiting = fresh;
    count(root);
    return;
  }
  waiting = null;
  morph(root, fresh);
  place(root);
  mover.taken();
}

function settle() {
  if (waiting) take(waiting);
}

/** @param {boolean} isOld */
function showAge(isOld) {
  if (old.hidden !== isOld) return;
  old.hidden = !isOld;
  const at = root.dataset.at ?? "";
  find(old, "[data-board-from]").textContent = at;
  say(isOld ? _("This board is from {time}. The connection is lost.", { time: at }) : _("This board is as it is now."));
}

/** @param {string} words */
function say(words) {
  const place = document.querySelector("[data-said]");
  if (place) place.textContent = words;
}

await ready;
const { ask } = keepLive({ take, showAge });
find(old, "[data-board-again]").addEventListener("click", (event) => {
  event.preventDefault();
  ask();
});
if (document.querySelector("[data-move-sheet]")) mover = letMove(root, { ask, settle, say });
