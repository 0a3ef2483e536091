// @ts-check
/**
 * Pointing. Sends this person's pointer at most 30 times a second, and draws those of others, each with name and tint, over
 * the same page only. A pointer that rests for a while goes away by itself.
 */

import { element } from "../parts.js";
import { shortName, tintOf } from "./people.js";
import { samePage, toStage } from "./view.js";

const SEND_MS = 1000 / 30;
const REST_MS = 6000;
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {HTMLElement} root over the stage
 * @param {{call: import("./call.js").Call, looking: import("./looking.js").Looking, stage: import("./stage.js").Stage}} given
 */
export function mountPointers(root, { call, looking, stage }) {
  /** @type {Map<string, {x: number, y: number, drawing: HTMLElement, rest: ReturnType<typeof setTimeout>}>} */
  const others = new Map();
  /** @type {{x: number, y: number}|null} */
  let mine = null;
  let sentAt = 0;
  let visible = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let sending;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let resting;

  function send() {
    sending = undefined;
    if (!mine) return;
    sentAt = performance.now();
    visible = true;
    call.point(mine.x, mine.y, true);
  }

  const pointing = {
    /** @param {number} x @param {number} y over the page */
    point(x, y) {
      // Somebody who looks at another page would point at nothing the others see.
      if (!samePage(looking.view, looking.shared)) return pointing.hide();
      mine = { x, y };
      clearTimeout(resting);
      resting = setTimeout(pointing.hide, REST_MS);
      sending ??= setTimeout(send, Math.max(0, SEND_MS - (performance.now() - sentAt)));
    },
    hide() {
      clearTimeout(sending);
      clearTimeout(resting);
      sending = undefined;
      mine = null;
      if (visible) call.point(0, 0, false);
      visible = false;
    },
  };

  /** @param {string} id */
  function take(id) {
    const pointer = others.get(id);
    if (!pointer) return;
    clearTimeout(pointer.rest);
    pointer.drawing.remove();
    others.delete(id);
  }

  function draw() {
    const drawn = stage.drawn;
    const same = !!drawn && samePage(drawn.view, looking.shared);
    for (const { x, y, drawing } of others.values()) {
      drawing.hidden = !same;
      if (!drawn || !same) continue;
      const at = toStage({ x, y }, drawn.view, drawn.page, drawn.stage);
      drawing.hidden = at.x < 0 || at.y < 0 || at.x > drawn.stage.width || at.y > drawn.stage.height;
      drawing.classList.toggle("points-left", at.x > drawn.stage.width - 120);
      drawing.style.transform = `translate(${at.x}px, ${at.y}px)`;
    }
  }

  const off = [
    call.on("pointed", ({ member_id, x, y, visible: shown }) => {
      const member = call.members.get(member_id);
      if (!shown || !member || member_id === call.me) return take(member_id);
      const known = others.get(member_id);
      clearTimeout(known?.rest);
      const drawing = known?.drawing ?? root.appendChild(drawingOf(member));
      others.set(member_id, { x, y, drawing, rest: setTimeout(() => take(member_id), REST_MS) });
      draw();
    }),
    call.on("left", ({ member }) => take(member.member_id)),
    stage.on("drawn", draw),
  ];

  return {
    pointing,
    unmount() {
      pointing.hide();
      [...others.keys()].forEach(take);
      off.forEach((one) => one());
    },
  };
}

/** @param {import("./protocol.js").Member} member */
function drawingOf(member) {
  const arrow = document.createElementNS(SVG, "svg");
  arrow.setAttribute("viewBox", "0 0 24 32");
  arrow.setAttribute("class", "pointer-arrow");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", "M2 2l9.500 28 6-11 5.500-8z");
  arrow.append(path);
  return element(
    "div", { className: `pointer is-${tintOf(member.role)}`, "data-pointer-of": member.member_id },
    arrow, element("span", { className: "pointer-name" }, shortName(member.name)),
  );
}
