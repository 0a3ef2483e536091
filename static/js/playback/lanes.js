// @ts-check
/** The lanes under the player: what was shown and who spoke, on the length of the call, with one playhead. */

import { element, icon } from "../parts.js";
import { _ } from "../words.js";
import { clockText } from "./times.js";

/** @typedef {{title: string, page: number, start_ms: number, end_ms: number}} Shown */
/** @typedef {{start_ms: number, end_ms: number, paused: boolean}} Gap */
/** @typedef {{id: string, name: string, tint: string}} Person */
/** @typedef {{start_ms: number, end_ms: number, person: string}} Voice */

const SVG = "http://www.w3.org/2000/svg";
const ROW_PX = 13;

/** What a shown page is called. @param {Shown} shown */
export function shownName(shown) {
  return shown.title ? _("{title}, page {page}", { title: shown.title, page: shown.page }) : _("A record, page {page}", { page: shown.page });
}

/**
 * @param {HTMLElement} root
 * @param {{length_ms: number, shown: Shown[], gaps: Gap[], people: Person[]}} data
 * @param {Voice[]} voices
 * @param {(atMs: number) => void} seek
 */
export function mountLanes(root, data, voices, seek) {
  const length = Math.max(1, data.length_ms);
  const share = (/** @type {number} */ ms) => `${((100 * ms) / length).toFixed(3)}%`;
  root.replaceChildren();
  /** @type {HTMLButtonElement[]} */
  const buttons = [];
  /** @type {HTMLElement[]} */
  const heads = [];
  const head = () => {
    const line = element("span", { className: "lane-head" });
    heads.push(line);
    return line;
  };
  if (data.shown.length) {
    const lane = element("div", { className: "lane lane-shown" });
    for (const shown of data.shown) {
      const button = element("button", { type: "button", title: shownName(shown) }, shownName(shown));
      button.style.insetInlineStart = share(shown.start_ms);
      button.style.inlineSize = share(shown.end_ms - shown.start_ms);
      button.addEventListener("click", () => seek(shown.start_ms));
      buttons.push(button);
      lane.append(button);
    }
    lane.append(head());
    root.append(element("p", { className: "lane-name" }, _("Shown")), lane);
  }
  const lane = element("div", { className: "lane lane-voices" });
  lane.append(drawVoices(data, voices, share), head());
  root.append(element("p", { className: "lane-name" }, _("Voices")), lane);
  const pauses = data.gaps.filter((gap) => gap.paused);
  if (pauses.length) root.append(key(pauses));

  return {
    /** @param {number} atMs */
    show(atMs) {
      for (const line of heads) line.style.insetInlineStart = share(atMs);
      data.shown.forEach((shown, place) => {
        const now = atMs >= shown.start_ms && atMs < shown.end_ms;
        if (now !== buttons[place].hasAttribute("aria-current")) {
          if (now) buttons[place].setAttribute("aria-current", "true");
          else buttons[place].removeAttribute("aria-current");
        }
      });
    },
  };
}

/** @param {Gap[]} pauses */
function key(pauses) {
  const line = element("p", { className: "lane-key" });
  for (const gap of pauses) {
    const words = _("Paused {start} to {end}", { start: clockText(gap.start_ms), end: clockText(gap.end_ms) });
    line.append(element("span", { className: "state" }, icon("pause"), words));
  }
  return line;
}

/**
 * @param {{gaps: Gap[], people: Person[]}} data @param {Voice[]} voices @param {(ms: number) => string} share
 */
function drawVoices(data, voices, share) {
  const height = Math.max(30, data.people.length * ROW_PX + 4);
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("height", String(height));
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", describe(data.people, voices));
  for (const gap of data.gaps) drawing.append(bar("lane-gap", share(gap.start_ms), share(gap.end_ms - gap.start_ms), 0, height));
  data.people.forEach((person, row) => {
    for (const voice of voices) {
      if (voice.person !== person.id) continue;
      const width = share(Math.max(voice.end_ms - voice.start_ms, 1));
      drawing.append(bar(`is-${person.tint}`, share(voice.start_ms), width, 4 + row * ROW_PX, 7));
    }
  });
  return drawing;
}

/** @param {string} name @param {string} x @param {string} width @param {number} y @param {number} height */
function bar(name, x, width, y, height) {
  const made = document.createElementNS(SVG, "rect");
  made.setAttribute("class", name);
  for (const [key, value] of Object.entries({ x, width, y, height, rx: 1 })) made.setAttribute(key, String(value));
  return made;
}

/** @param {Person[]} people @param {Voice[]} voices */
function describe(people, voices) {
  const parts = people.map((person) => {
    const spokenMs = voices.filter((one) => one.person === person.id).reduce((sum, one) => sum + one.end_ms - one.start_ms, 0);
    return _("{name} spoke {time}.", { name: person.name, time: clockText(spokenMs) });
  });
  return parts.join(" ");
}
