// @ts-check
/**
 * Whose View this page draws. Hosts lead: what they move, everybody sees. Others follow, until they move something
 * themselves: then they look around alone, and can come back or show it to everyone. No DOM.
 *
 * @typedef {import("./view.js").View} View
 */

import { Emitter } from "./emitter.js";

const SEND_MS = 40; // while dragging: 25 Views a second are smooth, more are waste

/** @extends {Emitter<{changed: View}>} */
export class Looking extends Emitter {
  around = false;
  /** @type {View} */
  #alone;
  /** @type {View|null} moved here, not told yet */
  #untold = null;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #telling;
  #toldAt = 0;
  #call;
  /** @type {Map<string, View>} the View a record was left with */
  #left = new Map();

  /** @param {import("./call.js").Call} call */
  constructor(call) {
    super();
    this.#call = call;
    this.#alone = call.view;
    call.on("view", ({ by }) => {
      if (by !== call.me) this.#untold = null;
      if (!this.around) this.#remember();
      this.emit("changed", this.view);
    });
  }

  get leads() {
    return this.#call.may("host");
  }

  get mayShare() {
    return this.around && !this.leads && this.#call.may("show");
  }

  /** What this page draws. @returns {View} */
  get view() {
    return this.around ? this.#alone : (this.#untold ?? this.#call.view);
  }

  /** What everybody sees. */
  get shared() {
    return this.#call.view;
  }

  /** @param {View} view @param {{gliding?: boolean}} [how] gliding: one of many small steps */
  move(view, { gliding = false } = {}) {
    if (this.leads) {
      this.#untold = view;
      this.#tell(gliding);
    } else {
      this.around = true;
      this.#alone = view;
    }
    this.#remember();
    this.emit("changed", this.view);
  }

  /** @param {string} recordId */
  open(recordId) {
    if (recordId === this.view.record_id) return;
    this.move(this.#left.get(recordId) ?? { record_id: recordId, page: 1, zoom: 1, x: 0.5, y: 0.5, rotation: 0 });
  }

  stop() {
    this.move({ record_id: null, page: 1, zoom: 1, x: 0.5, y: 0.5, rotation: 0 });
  }

  follow() {
    this.around = false;
    this.emit("changed", this.view);
  }

  lookAround() {
    this.#alone = this.view;
    this.around = true;
    this.emit("changed", this.view);
  }

  share() {
    this.around = false;
    this.#call.show(this.#alone);
  }

  /** @param {boolean} gliding */
  #tell(gliding) {
    clearTimeout(this.#telling);
    const wait_ms = gliding ? Math.max(0, SEND_MS - (performance.now() - this.#toldAt)) : 0;
    const tell = () => {
      if (!this.#untold) return;
      const view = this.#untold;
      this.#untold = null;
      this.#toldAt = performance.now();
      performance.mark("view:sent");
      this.#call.show(view);
    };
    if (wait_ms === 0) tell();
    else this.#telling = setTimeout(tell, wait_ms);
  }

  #remember() {
    if (this.view.record_id) this.#left.set(this.view.record_id, this.view);
  }
}
