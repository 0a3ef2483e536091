// @ts-check
/**
 * Moving an appointment on the board: by dragging it, or by its button "Move" and the arrow keys. Either way the free
 * times that it fits into become buttons, and one question is asked before anything changes.
 */

import { ApiError, get } from "../api.js";
import { find } from "../parts.js";
import { _, ngettext } from "../words.js";
import { letDrag, targetAt } from "./drag.js";
import { drawTargets, walk } from "./targets.js";

const WAIT_MS = 20_000;
const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End"];

/** @typedef {import("./targets.js").Target} Target */
/** @typedef {import("./targets.js").Offered} Offered */
/**
 * dropped: where the block was dropped before its free times were known. isSent: the answer is not there yet.
 * @typedef {{id: string, name: string, offered: Offered[], at: number, dropped: import("./drag.js").Point | null, isSent: boolean,
 *   starts_ms: number, lead: number}} Move
 */

/**
 * @param {HTMLElement} root the board
 * @param {object} board
 * @param {() => void} board.ask brings the board up to date
 * @param {() => void} board.settle takes what came while something was being moved
 * @param {(words: string) => void} board.say tells people who do not see the board
 * @returns {{isOpen: () => boolean, taken: () => void}} taken: to be called when the board was brought up to date
 */
export function letMove(root, { ask, settle, say }) {
  const sheet = find(document, "[data-move-sheet]", HTMLDialogElement);
  const band = find(document, "[data-move-band]", HTMLElement);
  const words = find(band, "[data-move-words]", HTMLElement);
  let follow = ""; // what was moved just now, which keeps the focus where it went
  const leave = find(band, "[data-move-stop]", HTMLElement);
  /** @type {Move | null} */
  let move = null;

  /** @param {string} sentence @param {string} [address] of the appointment's page */
  function tell(sentence, address) {
    words.textContent = sentence;
    if (address) {
      const link = document.createElement("a");
      link.href = address;
      link.textContent = _("Link and appointment");
      words.append(" ", link);
    }
    leave.textContent = move ? _("Leave it where it is") : _("Close");
    band.hidden = false;
    say(sentence);
  }

  /** @param {HTMLElement} block @param {boolean} byDrag */
  async function begin(block, byDrag) {
    stop({ quietly: true });
    const name = block.querySelector("[data-move-button]")?.getAttribute("data-name") ?? "";
    /** @type {Move} */
    const mine = { id: block.dataset.move ?? "", name, offered: [], at: 0, dropped: null, isSent: false, starts_ms: 0, lead: 0 };
    move = mine;
    root.classList.add("is-moving");
    block.classList.add("is-moved");
    tell(_("Looking for free times for {name}…", { name }));
    try {
      const found = await get(`/board/moves/${mine.id}?${askedFor(root)}`);
      if (move !== mine) return;
      mine.starts_ms = found.starts_ms;
      mine.lead = found.expert;
      mine.offered = drawTargets(root, found.targets, found.minutes, choose);
    } catch (error) {
      if (move === mine) stop({ words: sentence(error) });
      return;
    }
    if (!mine.offered.length) {
      const none = _("There is no free time of that length here for {name}. Other days are on the appointment's page.", { name });
      stop({ words: none, address: `/appointments/${mine.id}/move` });
      return;
    }
    tell(
      ngettext("{count} free time for {name}.", "{count} free times for {name}.", mine.offered.length, { name }) +
        " " + _("The arrow keys go through them, Enter chooses, Escape leaves it where it is."),
    );
    if (mine.dropped) drop(mine, targetAt(mine.dropped));
    else if (!byDrag) goTo(closest(mine));
  }

  /** @param {Move} mine @param {HTMLElement | null} button the free time that the block was dropped on, if on any */
  function drop(mine, button) {
    const one = mine.offered.find((offer) => offer.button === button);
    if (one) void choose(one.target);
    else stop({ words: _("{name} stays where it is: there is no free time for it where you let it go.", { name: mine.name }) });
  }

  /** @param {Move} mine the place of the free time that is closest, of the same expert if there is any */
  function closest({ offered, starts_ms, lead }) {
    const stays = offered.some((one) => one.target.expert === lead);
    const away = offered.map(({ target }) =>
      stays && target.expert !== lead ? Infinity : Math.abs(target.at_ms - starts_ms),
    );
    return away.indexOf(Math.min(...away));
  }

  /** @param {number} place */
  function goTo(place) {
    const one = move?.offered[place];
    if (!move || !one) return;
    move.at = place;
    one.button.focus();
    one.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {{words?: string, address?: string, quietly?: boolean}} [how] end moving, whatever came of it */
  function stop({ words: last = "", address, quietly = false } = {}) {
    if (!move) return;
    const { id } = move;
    const focused = document.activeElement;
    const hadFocus = focused === document.body || root.contains(focused) || sheet.contains(focused);
    move = null;
    root.classList.remove("is-moving");
    for (const block of root.querySelectorAll(".is-moved")) block.classList.remove("is-moved");
    for (const target of root.querySelectorAll(".slot-target")) target.remove();
    if (sheet.open) sheet.close();
    band.hidden = true;
    settle();
    if (quietly) return;
    if (hadFocus) handle(id)?.focus();
    if (last) tell(last, address);
    else say(_("It stays where it is."));
  }

  /** @param {string} id @returns {HTMLElement | null} */
  function handle(id) {
    return root.querySelector(`[data-move="${CSS.escape(id)}"] [data-move-button]`);
  }

  /** @param {Target} target */
  async function choose(target) {
    const mine = move;
    if (!mine) return;
    const asked = new URLSearchParams({ expert: String(target.expert), at: target.at });
    try {
      const answer = await fetch(`/board/moves/${mine.id}/to?${asked}`, {
        headers: { Accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(WAIT_MS),
      });
      if (answer.type === "opaqueredirect") return window.location.reload();
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const question = page.querySelector("[data-move-question]");
      if (move !== mine) return;
      if (!question) throw new ApiError({ code: "unexpected_answer", message: _("This appointment is no longer here."), status: 0 });
      sheet.replaceChildren(document.importNode(question, true));
    } catch (error) {
      if (move === mine) stop({ words: sentence(error) });
      ask();
      return;
    }
    find(sheet, "[data-move-form]", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void send(mine, target, /** @type {HTMLFormElement} */ (event.currentTarget));
    });
    find(sheet, "a[data-move-stop]").addEventListener("click", (event) => {
      event.preventDefault();
      if (!mine.isSent) stop();
    });
    sheet.showModal();
    find(sheet, "#move-title", HTMLElement).focus();
  }

  /** @param {Move} mine @param {Target} target @param {HTMLFormElement} form */
  async function send(mine, target, form) {
    const button = find(form, "button", HTMLButtonElement);
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    mine.isSent = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "text/html" },
        body: new URLSearchParams(/** @type {any} */ (new FormData(form))),
        redirect: "manual",
        signal: AbortSignal.timeout(WAIT_MS),
      });
      if (answer.type !== "opaqueredirect") throw await refusal(answer);
      const moved = _("{name} moved to {time}, {expert}. A new link is on its way.", {
        name: mine.name, time: target.time, expert: target.expert_name,
      });
      stop({ words: moved, address: `/appointments/${mine.id}` });
      follow = mine.id;
    } catch (error) {
      const wrong = find(sheet, "[data-move-wrong]", HTMLElement);
      // Without an answer nobody knows whether it was moved: the request may have come through.
      wrong.textContent = error instanceof ApiError ? error.message
        : _("No answer came, so the call may have been moved or not. Press again to be sure: it is moved once at most.");
      wrong.hidden = false;
      mine.isSent = false;
      button.setAttribute("aria-disabled", "false");
      say(wrong.textContent);
      // The time is gone, or the call is elsewhere by now: this question no longer has a good answer.
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) button.hidden = true;
    }
    ask();
  }

  root.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-move-button]") : null;
    const block = button?.closest("[data-move]");
    if (!(block instanceof HTMLElement)) return;
    event.preventDefault();
    void begin(block, false);
  });
  root.addEventListener("keydown", (event) => {
    if (!move?.offered.length || !ARROWS.includes(event.key)) return;
    const at = move.offered.findIndex((one) => one.button === document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    goTo(walk(move.offered, at, event.key));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && move && !sheet.open) stop();
  });
  sheet.addEventListener("cancel", (event) => move?.isSent && event.preventDefault());
  sheet.addEventListener("close", () => move && stop());
  leave.addEventListener("click", () => {
    if (move) stop();
    band.hidden = true;
  });
  letDrag(root, {
    begin: (block) => void begin(block, true),
    over: (button) => {
      for (const one of move?.offered ?? []) one.button.classList.toggle("is-over", one.button === button);
    },
    drop: (button, { clientX, clientY }) => {
      if (!move) return;
      if (move.offered.length) drop(move, button);
      else move.dropped = { clientX, clientY };
    },
    leave: () => stop(),
  });
  return {
    isOpen: () => move !== null,
    taken: () => {
      if (follow) handle(follow)?.focus();
      follow = "";
    },
  };
}

/** What a board shows, as a query: its days and whose. @param {HTMLElement} root */
function askedFor(root) {
  const here = new URL(window.location.href).searchParams;
  const asked = new URLSearchParams({ day: root.dataset.firstDay ?? "", days: root.dataset.days ?? "1" });
  const expert = here.get("expert");
  if (expert) asked.set("expert", expert);
  return asked;
}

/**
 * What the page says that came instead of a move: the first thing that it tells or wants mended.
 * @param {Response} answer
 */
async function refusal(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const told = page.querySelector(".notice-title, .error-summary li, .error-page h1")?.textContent?.trim();
  const message = told || _("Something went wrong on our side. Nothing you wrote is lost.");
  return new ApiError({ code: "not_moved", message, status: answer.status });
}

/** @param {unknown} error */
function sentence(error) {
  if (error instanceof ApiError) return error.message;
  return _("The server did not answer. Nothing was moved. Please try again.");
}
