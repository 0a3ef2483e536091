// @ts-check
/**
 * A PDF as a record. Owns the document of pdf.js and the drawn pages: a base canvas per page at the size that fits the stage
 * (the last few are kept, the neighbours drawn ahead), and one sharper canvas for the part in sight when zoomed in.
 *
 * @typedef {import("./viewer_image.js").Viewer} Viewer
 * @typedef {import("./viewer_image.js").Region} Region
 * @typedef {import("./view.js").Size} Size
 */

import { _ } from "../words.js";

const KEPT_PAGES = 7;
const MOST_PIXELS = 12_000_000;
const LOADING_MS = 30_000;

/** @type {Promise<any>|null} */
let library = null;

/** Loads pdf.js once; call it early, so that the first page does not wait for it. @param {string} base folder of pdf.js */
export function loadPdf(base) {
  library ??= import(`${base}build/pdf.min.mjs`).then((pdf) => {
    pdf.GlobalWorkerOptions.workerSrc = `${base}build/pdf.worker.min.mjs`;
    return pdf;
  });
  library.catch(() => (library = null));
  return library;
}

/** @param {{url: string, title: string}} record @param {string} base @returns {Promise<Viewer>} */
export async function openPdf(record, base) {
  const pdf = await loadPdf(base);
  const task = pdf.getDocument({
    url: record.url,
    isEvalSupported: false,
    useWasm: false,
    enableXfa: false,
    cMapUrl: `${base}cmaps/`,
    cMapPacked: true,
    standardFontDataUrl: `${base}standard_fonts/`,
    wasmUrl: `${base}wasm/`,
  });
  const late = setTimeout(() => void task.destroy(), LOADING_MS);
  try {
    return new PdfViewer(await task.promise, task, record.title);
  } finally {
    clearTimeout(late);
  }
}

/** @implements {Viewer} */
class PdfViewer {
  #document;
  #task;
  #title;
  /** @type {Map<number, Promise<any>>} */
  #pages = new Map();
  /** @type {Map<number, {key: string, canvas: HTMLCanvasElement, done: Promise<void>}>} oldest first */
  #drawn = new Map();
  /** @type {any} */
  #sharpening = null;

  /** @param {any} document @param {any} task @param {string} title */
  constructor(document, task, title) {
    this.#document = document;
    this.#task = task;
    this.#title = title;
    this.pageCount = /** @type {number} */ (document.numPages);
  }

  /** @param {number} page */
  async sizeOf(page) {
    const { width, height } = (await this.#page(page)).getViewport({ scale: 1 });
    return { width, height };
  }

  /** @param {number} page @param {Size} fit @param {number} density */
  async prepare(page, fit, density) {
    if (page < 1 || page > this.pageCount) return;
    const key = `${Math.round(fit.width)}×${Math.round(fit.height)}×${density}`;
    const before = this.#drawn.get(page);
    this.#drawn.delete(page);
    const drawn = before?.key === key ? before : { key, ...this.#draw(page, fit, density) };
    this.#drawn.set(page, drawn);
    for (const old of this.#drawn.keys()) if (this.#drawn.size > KEPT_PAGES) this.#drawn.delete(old);
    await drawn.done;
  }

  /** @param {number} page @param {HTMLElement} sheet */
  put(page, sheet) {
    const canvas = this.#drawn.get(page)?.canvas;
    if (canvas && sheet.firstChild !== canvas) sheet.replaceChildren(canvas);
  }

  /** @param {number} page @param {HTMLElement} sheet @param {Region} region @param {number} scale px per unit of the page
   * @param {number} density */
  async sharpen(page, sheet, region, scale, density) {
    this.#sharpening?.cancel();
    const source = await this.#page(page);
    const full = source.getViewport({ scale: 1 });
    const wanted = scale * density;
    const pixels = region.width * full.width * wanted * region.height * full.height * wanted;
    const drawScale = wanted * Math.min(1, Math.sqrt(MOST_PIXELS / pixels));
    const canvas = document.createElement("canvas");
    canvas.className = "stage-detail";
    canvas.width = Math.max(1, Math.round(region.width * full.width * drawScale));
    canvas.height = Math.max(1, Math.round(region.height * full.height * drawScale));
    const viewport = source.getViewport({
      scale: drawScale,
      offsetX: -region.x * full.width * drawScale,
      offsetY: -region.y * full.height * drawScale,
    });
    const work = source.render({ canvas, viewport });
    this.#sharpening = work;
    if (!(await finished(work))) return;
    Object.assign(canvas.style, {
      left: `${region.x * 100}%`, top: `${region.y * 100}%`,
      width: `${region.width * 100}%`, height: `${region.height * 100}%`,
    });
    const base = this.#drawn.get(page)?.canvas;
    if (base && sheet.firstChild === base) sheet.replaceChildren(base, canvas);
  }

  close() {
    this.#sharpening?.cancel();
    this.#drawn.clear();
    void this.#task.destroy();
  }

  /** @param {number} number @returns {Promise<any>} */
  #page(number) {
    const page = this.#pages.get(number) ?? this.#document.getPage(Math.min(number, this.pageCount));
    this.#pages.set(number, page);
    return page;
  }

  /** @param {number} page @param {Size} fit @param {number} density */
  #draw(page, fit, density) {
    const canvas = document.createElement("canvas");
    canvas.className = "stage-page";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", _("{title}, page {page} of {count}", { title: this.#title, page, count: this.pageCount }));
    const done = this.#page(page).then(async (source) => {
      const full = source.getViewport({ scale: 1 });
      const wanted = (fit.width / full.width) * density;
      const scale = wanted * Math.min(1, Math.sqrt(MOST_PIXELS / (full.width * wanted * full.height * wanted)));
      const viewport = source.getViewport({ scale });
      canvas.width = Math.max(1, Math.round(viewport.width));
      canvas.height = Math.max(1, Math.round(viewport.height));
      await source.render({ canvas, viewport }).promise;
    });
    return { canvas, done };
  }
}

/** @param {{promise: Promise<unknown>}} work @returns {Promise<boolean>} false: another picture was wanted meanwhile */
async function finished(work) {
  try {
    await work.promise;
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === "RenderingCancelledException") return false;
    throw error;
  }
}
