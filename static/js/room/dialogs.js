// @ts-check
/** The room's dialogs: opening one closes the other; a press beside it or on Close closes it, and focus goes back. */

/** @typedef {"recording"|"records"|"devices"|"people"|"more"|"end"} DialogName */

export class Dialogs {
  #root;
  #stop = new AbortController();

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    root.addEventListener("click", (event) => {
      if (!(event.target instanceof Element)) return;
      const dialog = event.target.closest("dialog");
      if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) dialog.close();
    }, { signal: this.#stop.signal });
  }

  /** @param {DialogName} name */
  open(name) {
    this.closeAll();
    const dialog = this.#root.querySelector(`[data-dialog="${name}"]`);
    if (dialog instanceof HTMLDialogElement) dialog.showModal();
  }

  closeAll() {
    for (const dialog of /** @type {NodeListOf<HTMLDialogElement>} */ (this.#root.querySelectorAll("dialog[open]"))) dialog.close();
  }

  unmount() {
    this.closeAll();
    this.#stop.abort();
  }
}
