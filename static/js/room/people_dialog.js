// @ts-check
/** Who is in the call: role, connection in words, and for hosts a way to mute somebody. Opened from a face or from More. */

import { element, face, find, icon } from "../parts.js";
import { _ } from "../words.js";
import { bars, lineOf } from "./line_words.js";
import { roleWord, tintOf } from "./people.js";

/**
 * @param {HTMLElement} root the room
 * @param {{call: import("./call.js").Call, quality: import("./quality.js").Quality, dialogs: import("./dialogs.js").Dialogs}} given
 * @returns {() => void}
 */
export function mount(root, { call, quality, dialogs }) {
  const dialog = find(root, '[data-dialog="people"]', HTMLDialogElement);
  const list = find(dialog, "[data-people]", HTMLElement);
  const stop = new AbortController();

  function draw() {
    if (!dialog.open) return;
    const focused = document.activeElement?.getAttribute("data-mute");
    list.replaceChildren(...[...call.members.values()].map(drawMember));
    if (!focused) return;
    const again = [...list.querySelectorAll("[data-mute]")].find((one) => one.getAttribute("data-mute") === focused);
    const next = again ?? dialog.querySelector("[data-close]");
    if (next instanceof HTMLElement) next.focus();
  }

  /** @param {import("./protocol.js").Member} member */
  function drawMember(member) {
    const mine = member.member_id === call.me;
    const line = lineOf(call, quality, member);
    const voice = member.muted ? _("muted") : member.microphone ? "" : _("microphone off");
    const about = [roleWord(member.role), voice].filter(Boolean).join(" · ");
    return element("li", { "data-person": member.member_id },
      face(member.name, tintOf(member.role)),
      element("p", { className: "people-name" }, element("b", {}, mine ? _("You") : member.name), element("span", {}, about)),
      mine || !call.may("host") || !member.microphone ? null : muteButton(member),
      line && element("p", { className: "people-line" }, bars(line.grade), line.words));
  }

  /** @param {import("./protocol.js").Member} member */
  function muteButton(member) {
    return element("button", { className: "button", type: "button", "data-mute": member.member_id },
      icon("mic-off"), _("Mute"), element("span", { className: "out-of-sight" }, ` ${member.name}`));
  }

  root.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const muting = event.target.closest("[data-mute]");
    if (muting) call.mute(muting.getAttribute("data-mute") ?? "");
    if (event.target.closest("[data-open-people]")) {
      dialogs.open("people");
      draw();
    }
  }, { signal: stop.signal });

  const off = [call.on("members", draw), call.on("qualities", draw), quality.on("word", draw)];
  return () => {
    stop.abort();
    off.forEach((one) => one());
  };
}
