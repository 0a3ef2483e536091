// @ts-check
/**
 * Where things are: pure geometry between a View, a page and a stage, and whose View this page draws. No DOM.
 *
 * A View's x, y is the page's point in the middle of the stage; zoom 1 means that the whole page fits. So the same View
 * shows the same thing on any screen. Points are over the page as it is stored; rotation is clockwise.
 *
 * @typedef {import("./protocol.js").View} View
 * @typedef {{width: number, height: number}} Size
 * @typedef {{x: number, y: number}} Point
 * @typedef {{scale: number, width: number, height: number, x: number, y: number}} Place scale: px per unit of the page;
 *   width, height: of the rotated page in px; x, y: the point in the middle after keeping the page on the stage
 */

export const SMALLEST_ZOOM = 1;
export const LARGEST_ZOOM = 16;
export const ZOOM_STEP = 1.25;

/** @param {Size} page @param {View["rotation"]} rotation @returns {Size} */
export function rotatedSize(page, rotation) {
  return rotation % 180 === 0 ? page : { width: page.height, height: page.width };
}

/** A page's point on the rotated page. @param {Point} point @param {View["rotation"]} rotation @returns {Point} */
export function rotate({ x, y }, rotation) {
  if (rotation === 90) return { x: 1 - y, y: x };
  if (rotation === 180) return { x: 1 - x, y: 1 - y };
  return rotation === 270 ? { x: y, y: 1 - x } : { x, y };
}

/** @param {Point} point @param {View["rotation"]} rotation @returns {Point} */
export function unrotate(point, rotation) {
  return rotate(point, /** @type {View["rotation"]} */ ((360 - rotation) % 360));
}

/** @param {View} view @param {Size} page @param {Size} stage @returns {Place} */
export function place(view, page, stage) {
  const turned = rotatedSize(page, view.rotation);
  const scale = Math.min(stage.width / turned.width, stage.height / turned.height) * view.zoom;
  const width = turned.width * scale;
  const height = turned.height * scale;
  const middle = rotate(view, view.rotation);
  const kept = unrotate({ x: keep(middle.x, width, stage.width), y: keep(middle.y, height, stage.height) }, view.rotation);
  return { scale, width, height, x: kept.x, y: kept.y };
}

/** The middle, so that the page neither leaves the stage nor shows more black than it must. @param {number} middle
 * @param {number} page_px @param {number} stage_px */
function keep(middle, page_px, stage_px) {
  if (page_px <= stage_px) return 0.5;
  const half = stage_px / page_px / 2;
  return Math.min(1 - half, Math.max(half, middle));
}

/** Where a page's point is on the stage, in px. @param {Point} point @param {View} view @param {Size} page
 * @param {Size} stage @returns {Point} */
export function toStage(point, view, page, stage) {
  const placed = place(view, page, stage);
  const middle = rotate(placed, view.rotation);
  const turned = rotate(point, view.rotation);
  return {
    x: stage.width / 2 + (turned.x - middle.x) * placed.width,
    y: stage.height / 2 + (turned.y - middle.y) * placed.height,
  };
}

/** Which of the page's points is at a place on the stage. @param {Point} at px @param {View} view @param {Size} page
 * @param {Size} stage @returns {Point} */
export function toPage(at, view, page, stage) {
  const placed = place(view, page, stage);
  const middle = rotate(placed, view.rotation);
  return unrotate(
    { x: middle.x + (at.x - stage.width / 2) / placed.width, y: middle.y + (at.y - stage.height / 2) / placed.height },
    view.rotation,
  );
}

/** The View after dragging the page by some px. @param {View} view @param {Point} by @param {Size} page
 * @param {Size} stage @returns {View} */
export function drag(view, by, page, stage) {
  const moved = toPage({ x: stage.width / 2 - by.x, y: stage.height / 2 - by.y }, view, page, stage);
  return settle({ ...view, ...clamp(moved) }, page, stage);
}

/** The View at another zoom, with what is at `at` (px) staying there. @param {View} view @param {number} zoom
 * @param {Point} at @param {Size} page @param {Size} stage @returns {View} */
export function zoomTo(view, zoom, at, page, stage) {
  const wanted = Math.min(LARGEST_ZOOM, Math.max(SMALLEST_ZOOM, zoom));
  const under = toPage(at, view, page, stage);
  const next = { ...view, zoom: wanted };
  const placed = place(next, page, stage);
  const turned = rotate(under, view.rotation);
  const middle = unrotate(
    { x: turned.x - (at.x - stage.width / 2) / placed.width, y: turned.y - (at.y - stage.height / 2) / placed.height },
    view.rotation,
  );
  return settle({ ...next, ...clamp(middle) }, page, stage);
}

/** @param {View} view @returns {View} */
export function turn(view) {
  return { ...view, rotation: /** @type {View["rotation"]} */ ((view.rotation + 90) % 360) };
}

/** The View with its middle where it is really drawn. @param {View} view @param {Size} page @param {Size} stage
 * @returns {View} */
export function settle(view, page, stage) {
  const { x, y } = place(view, page, stage);
  return { ...view, x, y };
}

/** @param {View} one @param {View} other */
export function samePage(one, other) {
  return one.record_id === other.record_id && one.page === other.page;
}

/** @param {View} one @param {View} other */
export function sameView(one, other) {
  return samePage(one, other) && one.rotation === other.rotation && Math.abs(one.zoom - other.zoom) < 0.002
    && Math.abs(one.x - other.x) < 0.002 && Math.abs(one.y - other.y) < 0.002;
}

/** @param {Point} point @returns {Point} */
function clamp({ x, y }) {
  return { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
}
