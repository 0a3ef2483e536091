// @ts-check
/**
 * A picture as a record of one page. The browser scales it; nothing is redrawn.
 * @typedef {import("./view.js").Size} Size
 * @typedef {import("./view.js").View} View
 * @typedef {object} Viewer What a record's kind must be able to do. Sizes are of the page as stored, not rotated.
 * @property {number} pageCount
 * @property {(page: number) => Promise<Size>} sizeOf
 * @property {(page: number, fit: Size, density: number) => Promise<void>} prepare Draws ahead; fit: the page's size in px at zoom 1.
 * @property {(page: number, sheet: HTMLElement) => void} put Into the sheet, at once; after prepare.
 * @property {(page: number, sheet: HTMLElement, region: Region, scale: number, density: number) => Promise<void>} sharpen
 * @property {() => void} close
 * @typedef {{x: number, y: number, width: number, height: number}} Region part of the page, from 0 to 1
 */

/** @param {{url: string, title: string}} record @returns {Promise<Viewer>} */
export async function openImage(record) {
  const image = new Image();
  image.className = "stage-page";
  image.alt = record.title;
  image.draggable = false;
  image.src = record.url;
  await image.decode();
  return {
    pageCount: 1,
    sizeOf: async () => ({ width: image.naturalWidth, height: image.naturalHeight }),
    prepare: async () => {},
    put: (_page, sheet) => sheet.replaceChildren(image),
    sharpen: async () => {},
    close: () => image.remove(),
  };
}
