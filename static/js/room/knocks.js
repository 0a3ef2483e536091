// @ts-check
/**
 * Who waits outside: for hosts a band per person with Admit and Refuse, for others a word about their own second device. A
 * soft tone and the page's title call.
 */

import { savedChoice } from "../devices.js";
import { element, face, find } from "../parts.js";
import { play } from "../sounds.js";
import { _ } from "../words.js";
import { roleWord, tintOf } from "./people.js";

/**
 * @param {HTMLElement} root
 * @param {{call: import("./call.js").Call}} given
 * @returns {() => void}
 */
export function mount(root, { call }) {
  const list = find(root, "[data-knocks]", HTMLElement);
  const title = document.title;
  /** @type {Map<string, HTMLElement>} */
  const drawn = new Map();

  function draw() {
    for (const [id, band] of drawn) {
      if (call.knocks.has(id)) continue;
      if (band.contains(document.activeElement)) find(root, "[data-room-title]", HTMLElement).focus();
      band.remove();
      drawn.delete(id);
    }
    for (const [id, member] of call.knocks) {
      const before = drawn.get(id);
      if (before?.dataset.secondDevice === String(member.second_device)) continue;
      const band = drawKnock(call, member);
      drawn.set(id, band);
      if (before) {
        before.replaceWith(band);
        continue;
      }
      list.append(band);
      void play("knock", savedChoice().speaker).catch(() => undefined);
    }
    const first = [...call.knocks.values()][0];
    document.title = first ? _("{name} waits – {title}", { name: first.name, title }) : title;
  }

  const off = call.on("knocks", draw);
  draw();
  return () => {
    off();
    document.title = title;
    list.replaceChildren();
  };
}

/** @param {import("./call.js").Call} call @param {import("./protocol.js").Member} member */
function drawKnock(call, member) {
  const { member_id: id, name, role } = member;
  const admit = element("button", { className: "button button-main", type: "button", "data-knock": "admit" }, _("Admit"));
  const refuse = element("button", { className: "button", type: "button", "data-knock": "refuse" }, _("Refuse"));
  admit.append(element("span", { className: "out-of-sight" }, ` ${name}`));
  refuse.append(element("span", { className: "out-of-sight" }, ` ${name}`));
  admit.addEventListener("click", () => call.admit(id));
  refuse.addEventListener("click", () => call.refuse(id));
  const about = { className: "band band-knock", "aria-label": _("At the door"), "data-knock-of": id, "data-second-device": String(member.second_device) };
  if (!call.may("host")) {
    return element("section", about, face(name, tintOf(role)),
      element("p", {}, _("Your link was opened on another device, which now waits to be let in. If that was not you, say so now.")));
  }
  return element(
    "section", about,
    face(name, tintOf(role)),
    element("p", {}, element("b", {}, name), ` (${roleWord(role)}) `,
      member.second_device ? _("waits on a second device. If you let it in, the first one leaves.") : _("waits to be let in.")),
    element("div", { className: "band-actions" }, admit, refuse),
  );
}
