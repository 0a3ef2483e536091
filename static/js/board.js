// @ts-check
/**
 * Places the board's blocks by their time, draws the line of now, and says when the board has become old. It does not fetch
 * by itself: that would keep an idle session open.
 */

const OLD_AFTER_MS = 90_000;
const SHORT_MIN = 35;

const day = document.querySelector("[data-day]");
if (day instanceof HTMLElement) {
  day.style.setProperty("--minutes", day.dataset.minutes ?? "540");
  for (const block of day.querySelectorAll("[data-from]")) {
    if (!(block instanceof HTMLElement)) continue;
    block.style.setProperty("--from", block.dataset.from ?? "0");
    block.style.setProperty("--long", block.dataset.long ?? "45");
    block.classList.toggle("is-short", Number(block.dataset.long) < SHORT_MIN);
  }
  drawNow(day);
  day.classList.add("is-placed");
  letScroll();
  window.addEventListener("resize", letScroll);
}

/** @param {HTMLElement} board */
function drawNow(board) {
  const line = board.querySelector("[data-now-line]");
  const at = Number(board.dataset.now);
  if (!(line instanceof HTMLElement) || !board.dataset.now || at < 0 || at > Number(board.dataset.minutes)) return;
  line.style.setProperty("--now", String(at));
  line.hidden = false;
}

/** A frame that scrolls can be reached by keyboard; one that does not is no stop on the way. */
function letScroll() {
  const frame = document.querySelector("[data-day-frame]");
  if (!(frame instanceof HTMLElement)) return;
  if (frame.scrollWidth > frame.clientWidth) frame.tabIndex = 0;
  else frame.removeAttribute("tabindex");
}

setTimeout(() => {
  const note = document.querySelector("[data-board-old]");
  if (note instanceof HTMLElement) note.hidden = false;
}, OLD_AFTER_MS);
