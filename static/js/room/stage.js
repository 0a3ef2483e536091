// @ts-check
/**
 * The stage: draws the View of looking.js with the viewer of the record's kind. Owns opened records and what lies in the
 * sheet; hands are in stage_hands.js, the bar above in view_bar.js, pointers in pointer.js.
 *
 * @typedef {{id: string, title: string, media_type: string, page_count: number, url: string}} CaseRecord
 * @typedef {import("./view.js").View} View
 * @typedef {import("./view.js").Size} Size
 * @typedef {import("./viewer_image.js").Viewer} Viewer
 * @typedef {{view: View, page: Size, stage: Size}} Drawn
 */

import { element, find } from "../parts.js";
import { _ } from "../words.js";
import { Emitter } from "./emitter.js";
import { place, rotatedSize, toPage } from "./view.js";
import { openImage } from "./viewer_image.js";
import { loadPdf, openPdf } from "./viewer_pdf.js";

const SHARPEN_MS = 120;
const SLOW_MS = 1000;
const EARLY_MS = 1500;

/** @extends {Emitter<{drawn: Drawn|null}>} */
export class Stage extends Emitter {
  /** @type {Drawn|null} what is in sight now */
  drawn = null;
  /** @type {Map<string, Promise<Viewer>>} */
  #opened = new Map();
  #root;
  #sheet;
  #message;
  #records;
  #pdfBase;
  #looking;
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #sharpening;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #slow;
  #watch;

  /**
   * @param {HTMLElement} root
   * @param {{looking: import("./looking.js").Looking, records: CaseRecord[], pdfBase: string}} given
   */
  constructor(root, { looking, records, pdfBase }) {
    super();
    this.#root = root;
    this.#sheet = find(root, "[data-sheet]", HTMLElement);
    this.#message = find(root, "[data-stage-message]", HTMLElement);
    this.#records = new Map(records.map((record) => [record.id, record]));
    this.#pdfBase = pdfBase;
    this.#looking = looking;
    looking.on("changed", () => this.draw());
    this.#watch = new ResizeObserver(() => this.draw());
    this.#watch.observe(root);
    if (records.some(isPdf)) setTimeout(() => void loadPdf(pdfBase).catch(() => undefined), EARLY_MS);
  }

  get element() {
    return this.#root;
  }

  /** @returns {Size} */
  get size() {
    return { width: this.#root.clientWidth, height: this.#root.clientHeight };
  }

  /** Whether the page is larger than the stage, so that a drag moves it. */
  get movable() {
    if (!this.drawn) return false;
    const { view, page, stage } = this.drawn;
    const placed = place(view, page, stage);
    return placed.width > stage.width + 1 || placed.height > stage.height + 1;
  }

  /** The page's point at a place on the stage, or null beside the page. @param {{x: number, y: number}} at px */
  pointAt(at) {
    if (!this.drawn) return null;
    const point = toPage(at, this.drawn.view, this.drawn.page, this.drawn.stage);
    return point.x < 0 || point.x > 1 || point.y < 0 || point.y > 1 ? null : point;
  }

  /** @param {string|null} id */
  record(id) {
    return id === null ? undefined : this.#records.get(id);
  }

  /** Draws the present View; the page before stays in sight until the next one is ready. */
  draw() {
    const view = this.#looking.view;
    const turn = ++this.#turn;
    this.#root.dataset.wantedPage = String(view.page);
    clearTimeout(this.#slow);
    if (view.record_id === null) return this.#clear();
    const stage = this.size;
    if (stage.width === 0 || stage.height === 0) return;
    // In one frame while only position or zoom change: no promise between the hand and the page.
    if (this.drawn && this.drawn.view.record_id === view.record_id && this.drawn.view.page === view.page
      && this.drawn.view.rotation === view.rotation && this.drawn.stage.width === stage.width && this.drawn.stage.height === stage.height) {
      this.#lay(view, this.drawn.page, stage);
      return this.#sharpenSoon();
    }
    this.#slow = setTimeout(() => this.#say(_("Opening the record…")), SLOW_MS);
    void this.#turnTo(view, stage, turn);
  }

  unmount() {
    this.#watch.disconnect();
    this.#turn++;
    clearTimeout(this.#slow);
    clearTimeout(this.#sharpening);
    for (const viewer of this.#opened.values()) void viewer.then((one) => one.close(), () => undefined);
    this.#opened.clear();
  }

  /** @param {View} view @param {Size} stage @param {number} turn */
  async #turnTo(view, stage, turn) {
    try {
      const viewer = await this.#open(/** @type {string} */ (view.record_id));
      const size = await viewer.sizeOf(view.page);
      await viewer.prepare(view.page, fitting(view, size, stage), devicePixelRatio);
      if (turn !== this.#turn) return;
      clearTimeout(this.#slow);
      this.#say("");
      viewer.put(view.page, this.#sheet);
      this.#lay(view, size, stage);
      performance.mark("view:drawn", { detail: { page: view.page, record: view.record_id } });
      this.#sharpenSoon();
      await this.#prepareNeighbours(viewer, view, stage, turn);
    } catch (error) {
      if (turn !== this.#turn) return;
      console.warn("a record could not be shown", error);
      clearTimeout(this.#slow);
      this.#opened.delete(/** @type {string} */ (view.record_id));
      this.#fail();
    }
  }

  /** @param {Viewer} viewer @param {View} view @param {Size} stage @param {number} turn */
  async #prepareNeighbours(viewer, view, stage, turn) {
    for (const page of [view.page + 1, view.page - 1]) {
      if (page < 1 || page > viewer.pageCount || turn !== this.#turn) continue;
      const size = await viewer.sizeOf(page);
      await viewer.prepare(page, fitting(view, size, stage), devicePixelRatio).catch(() => undefined);
    }
  }

  /** @param {string} id @returns {Promise<Viewer>} */
  #open(id) {
    const known = this.#opened.get(id);
    if (known) return known;
    const record = this.#records.get(id);
    // Added to the case after this page was loaded: its kind is not known here, a PDF is the likely one.
    const given = record ?? { id, title: _("Record"), media_type: "application/pdf", page_count: 1, url: `/records/${id}/content` };
    const opening = isPdf(given) ? openPdf(given, this.#pdfBase) : openImage(given);
    this.#opened.set(id, opening);
    return opening;
  }

  /** @param {View} view @param {Size} page @param {Size} stage */
  #lay(view, page, stage) {
    const placed = place(view, page, stage);
    const width = page.width * placed.scale;
    const height = page.height * placed.scale;
    const middle = rotatedMiddle(placed, view, page, placed.scale);
    Object.assign(this.#sheet.style, {
      width: `${width}px`,
      height: `${height}px`,
      transform: `translate(${stage.width / 2 - middle.x}px, ${stage.height / 2 - middle.y}px) rotate(${view.rotation}deg)`,
    });
    this.drawn = { view, page, stage };
    Object.assign(this.#root.dataset, {
      record: view.record_id ?? "", page: String(view.page), zoom: view.zoom.toFixed(3), rotation: String(view.rotation),
      x: view.x.toFixed(4), y: view.y.toFixed(4),
    });
    this.emit("drawn", this.drawn);
  }

  #sharpenSoon() {
    clearTimeout(this.#sharpening);
    this.#sharpening = setTimeout(() => void this.#sharpen(), SHARPEN_MS);
  }

  async #sharpen() {
    if (!this.drawn || this.drawn.view.zoom <= 1.02) return;
    const { view, page, stage } = this.drawn;
    const viewer = await this.#opened.get(view.record_id ?? "");
    const corners = [toPage({ x: 0, y: 0 }, view, page, stage), toPage({ x: stage.width, y: stage.height }, view, page, stage)];
    const left = Math.max(0, Math.min(corners[0].x, corners[1].x));
    const top = Math.max(0, Math.min(corners[0].y, corners[1].y));
    const right = Math.min(1, Math.max(corners[0].x, corners[1].x));
    const bottom = Math.min(1, Math.max(corners[0].y, corners[1].y));
    const region = { x: left, y: top, width: right - left, height: bottom - top };
    await viewer?.sharpen(view.page, this.#sheet, region, place(view, page, stage).scale, devicePixelRatio);
  }

  #clear() {
    clearTimeout(this.#sharpening);
    this.#say("");
    this.#sheet.replaceChildren();
    this.drawn = null;
    for (const name of ["record", "page", "zoom", "rotation", "x", "y"]) delete this.#root.dataset[name];
    this.emit("drawn", null);
  }

  #fail() {
    this.#sheet.replaceChildren();
    this.drawn = null;
    const again = element("button", { className: "button", type: "button" }, _("Try again"));
    again.addEventListener("click", () => this.draw());
    this.#message.replaceChildren(_("This record does not open here at the moment. The call goes on."), again);
    this.#message.hidden = false;
    this.emit("drawn", null);
  }

  /** @param {string} words */
  #say(words) {
    this.#message.textContent = words;
    this.#message.hidden = !words;
  }
}

/** @param {CaseRecord} record */
export function isPdf(record) {
  return record.media_type === "application/pdf";
}

/** The stored page's size in px when the whole of it fits the stage. @param {View} view @param {Size} page
 * @param {Size} stage @returns {Size} */
function fitting(view, page, stage) {
  const turned = rotatedSize(page, view.rotation);
  const scale = Math.min(stage.width / turned.width, stage.height / turned.height);
  return { width: page.width * scale, height: page.height * scale };
}

/** Where the middle's point lies, in px, in a sheet that turns about its own middle.
 * @param {import("./view.js").Place} placed @param {View} view @param {Size} page @param {number} scale */
function rotatedMiddle(placed, view, page, scale) {
  const from = { x: (placed.x - 0.5) * page.width * scale, y: (placed.y - 0.5) * page.height * scale };
  const angle = (view.rotation * Math.PI) / 180;
  const turned = {
    x: from.x * Math.cos(angle) - from.y * Math.sin(angle),
    y: from.x * Math.sin(angle) + from.y * Math.cos(angle),
  };
  return { x: (page.width * scale) / 2 + turned.x, y: (page.height * scale) / 2 + turned.y };
}
