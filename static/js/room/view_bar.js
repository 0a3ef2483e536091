// @ts-check
/** The bar above the record: its name, page, zoom, whose View it is, and the buttons that move it. */

import { find } from "../parts.js";
import { _ } from "../words.js";
import { shortName } from "./people.js";
import { canZoom } from "./stage_hands.js";

/**
 * @param {HTMLElement} root the record's section
 * @param {{call: import("./call.js").Call, looking: import("./looking.js").Looking, stage: import("./stage.js").Stage,
 *   act: (name: string) => void, hostName: string}} given
 * @returns {() => void}
 */
export function mount(root, { call, looking, stage, act, hostName }) {
  const title = find(root, "[data-view-title]", HTMLElement);
  const pages = find(root, "[data-view-pages]", HTMLElement);
  const page = find(root, "[data-view-page]", HTMLElement);
  const zoom = find(root, "[data-view-zoom]", HTMLElement);
  const follow = find(root, "[data-view-follow]", HTMLElement);
  const followWords = find(root, "[data-follow-words]", HTMLElement);
  const shared = find(root, "[data-view-shared]", HTMLElement);
  /** @param {string} name */
  const button = (name) => find(root, `[data-view="${name}"]`, HTMLButtonElement);
  const stop = new AbortController();

  root.addEventListener("click", (event) => {
    const pressed = event.target instanceof Element ? event.target.closest("[data-view]") : null;
    if (pressed instanceof HTMLButtonElement && pressed.getAttribute("aria-disabled") !== "true") act(pressed.dataset.view ?? "");
  }, { signal: stop.signal });
  follow.addEventListener("change", (event) => {
    if (event.target instanceof HTMLInputElement && event.target.value === "around") looking.lookAround();
    else looking.follow();
  }, { signal: stop.signal });

  function draw() {
    const view = looking.view;
    root.hidden = view.record_id === null;
    const record = stage.record(view.record_id);
    title.textContent = record?.title ?? _("Record");
    const count = record?.page_count ?? view.page;
    pages.hidden = count < 2;
    page.replaceChildren(...pageWords(view.page, count));
    zoom.textContent = `${Math.round(view.zoom * 100)}%`;
    const able = canZoom(view);
    rest(button("previous"), view.page <= 1);
    rest(button("next"), view.page >= count);
    rest(button("larger"), !able.larger);
    rest(button("smaller"), !able.smaller);
    rest(button("fit"), view.zoom === 1);
    drawWhose();
  }

  function drawWhose() {
    const by = call.members.get(call.viewBy ?? "");
    const mine = call.viewBy === call.me;
    follow.hidden = looking.leads;
    followWords.textContent = mine && !looking.around ? _("Everyone sees this")
      : looking.around && looking.shared.record_id === null ? _("Back to the call")
      : _("Following {name}", { name: shortName(mine ? hostName : (by?.name ?? hostName)) });
    find(follow, `[value="${looking.around ? "around" : "follow"}"]`, HTMLInputElement).checked = true;
    button("share").hidden = !looking.mayShare;
    shared.hidden = !looking.leads;
    button("stop").hidden = !looking.leads;
    root.dataset.looking = looking.leads ? "leading" : looking.around ? "around" : "following";
  }

  const off = [looking.on("changed", draw), call.on("members", drawWhose)];
  draw();
  return () => {
    stop.abort();
    off.forEach((one) => one());
  };
}

/** "Page 3 of 12" with the number in bold, in the order of the page's language. @param {number} page @param {number} count */
function pageWords(page, count) {
  const [before, after] = _("Page {page} of {count}", { count }).split("{page}");
  const number = document.createElement("b");
  number.textContent = String(page);
  return [before, number, after ?? ""];
}

/** A button with nothing to do stays in place and can be reached, but says so. @param {HTMLButtonElement} button
 * @param {boolean} resting */
function rest(button, resting) {
  button.setAttribute("aria-disabled", String(resting));
}
