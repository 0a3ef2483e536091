// @ts-check
/** After the room: why it closed and what to do, on paper again. A call that ended leads on by itself. */

import { element, find } from "../parts.js";
import { _ } from "../words.js";
import { faultWords } from "./faults.js";

const ONWARD_MS = 1200;
const ANSWER_MS = 5000;
const MOST_TRIES = 8;

/**
 * @typedef {{title: string, text: string, again?: string, onward?: boolean, href?: string, link?: string}} Words
 */

/**
 * @param {HTMLElement} root
 * @param {{ending: import("./call.js").Ending, isStaff: boolean, afterUrl: string, again: () => void}} given
 */
export function showEnding(root, { ending, isStaff, afterUrl, again }) {
  const words = wordsFor(ending, isStaff);
  root.dataset.reason = ending.reason;
  find(root, "[data-ending-title]", HTMLElement).textContent = words.title;
  find(root, "[data-ending-text]", HTMLElement).textContent = words.text;
  const reference = ending.refusal?.reference ?? ending.fault?.reference;
  find(root, "[data-ending-reference]", HTMLElement).textContent = reference ? _("Reference {reference}", { reference }) : "";
  const actions = find(root, "[data-ending-actions]", HTMLElement);
  actions.replaceChildren();
  if (words.again) {
    const button = element("button", { className: "button button-main", type: "button", "data-ending-again": true }, words.again);
    button.addEventListener("click", again);
    actions.append(button);
  }
  if (words.href) actions.append(element("a", { className: "button button-main", href: words.href }, words.link));
  const after = isStaff ? _("Go to the case") : _("What happens next");
  if (words.onward) actions.append(element("a", { className: "button button-main", href: afterUrl }, after));
  else if (isStaff) actions.append(element("a", { className: "button", href: afterUrl }, after));
  find(root, "[data-ending-title]", HTMLElement).focus();
  if (words.onward) void goOn(afterUrl);
}

/** The page after the call stands once the application has heard of the end, a moment after this page has. @param {string} url */
async function goOn(url) {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    await new Promise((done) => setTimeout(done, ONWARD_MS));
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(() => null);
    if (answer?.ok && !answer.redirected) break;
  }
  location.assign(url);
}

/** @param {import("./call.js").Ending} ending @param {boolean} isStaff @returns {Words} */
function wordsFor({ reason, refusal, fault }, isStaff) {
  switch (reason) {
    case "ended":
      return { title: _("The call is over."), text: _("Nobody hears or sees you any more."), onward: true };
    case "cancelled":
      return {
        title: _("This appointment was cancelled."),
        text: isStaff
          ? _("Nobody hears or sees you any more. What was recorded until now is kept.")
          : _("Nobody hears or sees you any more. The clinic will write to you about another time."),
      };
    case "left":
      return { title: _("You left the call."), text: _("Your seat is kept. You can come back until the call ends."), again: _("Come back") };
    case "superseded":
      return {
        title: _("You opened this call on another device."), text: _("Continue there, or take it back here."),
        again: _("Take it back here"),
      };
    case "refused":
    case "removed":
      return { title: _("You were taken out of the call."), text: _("If you think that this was a mistake, come back and wait to be let in, or call the clinic."), again: _("Come back") };
    case "idle":
      return { title: _("The call closed."), text: _("Nobody was in it for a while. You can open it again."), again: _("Open it again") };
    case "expired":
      return isStaff
        ? { title: _("You were signed out."), text: _("Please sign in again. Your seat in the call is kept."), href: "/sign-in", link: _("Sign in") }
        : { title: _("This link no longer opens."), text: _("The appointment may have been moved. The next page says what you can do."), href: "/visit", link: _("Go on") };
    default:
      return noSeat(refusal, fault, isStaff);
  }
}

/** @param {import("./seat.js").SeatRefused|undefined} refusal @param {import("./protocol.js").Fault|undefined} fault
 * @param {boolean} isStaff @returns {Words} */
function noSeat(refusal, fault, isStaff) {
  if (refusal?.status === 401) return wordsFor({ reason: "expired" }, isStaff);
  if (refusal?.code === "call.over") return wordsFor({ reason: "ended" }, isStaff);
  return {
    title: _("The call does not open now."),
    text: fault ? faultWords(fault) : refusal?.message || _("Something went wrong on our side. Please try again."), again: _("Try again"),
  };
}
