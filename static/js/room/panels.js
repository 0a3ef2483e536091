// @ts-check
/** The panel beside the faces, a sheet on a phone: questions or chat, one at a time. Escape closes it. */

import { Emitter } from "./emitter.js";

/** @typedef {"questions"|"chat"} PanelName */
/** @extends {Emitter<{opened: PanelName|null}>} */
export class Panels extends Emitter {
  /** @type {PanelName|null} */
  open = null;
  #root;
  #stop = new AbortController();

  /** @param {HTMLElement} root the room */
  constructor(root) {
    super();
    this.#root = root;
    root.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("[data-panel-close]")) this.toggle(null);
    }, { signal: this.#stop.signal });
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && event.target instanceof Element && event.target.closest("[data-panel-name]")) this.toggle(null);
    }, { signal: this.#stop.signal });
  }

  /** @param {PanelName|null} name @param {{focus?: boolean}} [how] */
  toggle(name, { focus = true } = {}) {
    const before = this.open;
    this.open = name === before ? null : name;
    this.#root.dataset.panel = this.open ?? "none";
    for (const panel of /** @type {NodeListOf<HTMLElement>} */ (this.#root.querySelectorAll("[data-panel-name]"))) {
      panel.hidden = panel.dataset.panelName !== this.open;
      if (!panel.hidden && focus) (panel.querySelector("input") ?? panel).focus();
    }
    for (const control of this.#root.querySelectorAll("[data-control][aria-expanded]")) {
      control.setAttribute("aria-expanded", String(control.getAttribute("data-control") === this.open));
    }
    if (focus && !this.open && before) this.#giveBack(before);
    this.emit("opened", this.open);
  }

  unmount() {
    this.#stop.abort();
  }

  /** Focus goes to what opened the panel, or to More where that is out of sight. @param {PanelName} name */
  #giveBack(name) {
    for (const control of [name, "more"]) {
      const button = this.#root.querySelector(`[data-control="${control}"]`);
      if (button instanceof HTMLElement && button.offsetParent) return button.focus();
    }
  }
}
