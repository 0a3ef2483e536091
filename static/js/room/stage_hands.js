// @ts-check
/**
 * Hands on the stage: mouse, touch and keys become moves of the View and points. A plain wheel does nothing, so that nobody
 * loses the page by accident; with Ctrl it zooms.
 */

import { LARGEST_ZOOM, SMALLEST_ZOOM, ZOOM_STEP, drag, turn, unrotate, zoomTo } from "./view.js";

const DRAG_FROM_PX = 4;
const KEY_STEP_PX = 60;
const POINT_STEP = 0.02;

/**
 * @param {import("./stage.js").Stage} stage
 * @param {import("./looking.js").Looking} looking
 * @param {{point: (x: number, y: number) => void, hide: () => void}} pointing
 * @returns {{act: (name: string) => void, unmount: () => void}}
 */
export function mountHands(stage, looking, pointing) {
  const root = stage.element;
  const stop = new AbortController();
  const listen = { signal: stop.signal };
  /** @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let dragging = false;
  let spot = { x: 0.5, y: 0.5 };

  /** @param {MouseEvent} event */
  function at(event) {
    const box = root.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {import("./view.js").View} view @param {boolean} [gliding] */
  function move(view, gliding = false) {
    looking.move(view, { gliding });
  }

  /** @param {number} zoom @param {{x: number, y: number}} [where] @param {boolean} [gliding] */
  function zoom(zoom, where, gliding = false) {
    if (!stage.drawn) return;
    const { page, stage: size } = stage.drawn;
    move(zoomTo(looking.view, zoom, where ?? { x: size.width / 2, y: size.height / 2 }, page, size), gliding);
  }

  /** @param {number} by */
  function turnPage(by) {
    const record = stage.record(looking.view.record_id);
    const page = looking.view.page + by;
    if (page < 1 || page > (record?.page_count ?? page)) return;
    // Zoomed in, the next page begins at its top, as it is turned now.
    const { zoom, rotation } = looking.view;
    move({ ...looking.view, page, ...unrotate({ x: 0.5, y: zoom > 1 ? 0 : 0.5 }, rotation) });
  }

  /** @param {number} x @param {number} y */
  function pan(x, y) {
    if (stage.drawn) move(drag(looking.view, { x, y }, stage.drawn.page, stage.drawn.stage), true);
  }

  /** @param {{x: number, y: number}} where */
  function pointAt(where) {
    const point = stage.pointAt(where);
    if (!point) return pointing.hide();
    spot = point;
    pointing.point(point.x, point.y);
  }

  /** @type {Record<string, () => void>} */
  const acts = {
    previous: () => turnPage(-1),
    next: () => turnPage(1),
    smaller: () => zoom(looking.view.zoom / ZOOM_STEP),
    larger: () => zoom(looking.view.zoom * ZOOM_STEP),
    fit: () => move({ ...looking.view, zoom: 1, x: 0.5, y: 0.5 }),
    turn: () => move(turn(looking.view)),
    share: () => looking.share(),
    stop: () => looking.stop(),
  };

  root.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    root.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    dragging = false;
    if (event.pointerType !== "mouse") pointAt(at(event));
  }, listen);

  root.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const now = at(event);
    if (!before) {
      if (event.pointerType === "mouse") pointAt(now);
      return;
    }
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      pinch(before, now, other);
      fingers.set(event.pointerId, now);
    } else if (dragging || Math.hypot(now.x - before.x, now.y - before.y) > DRAG_FROM_PX) {
      dragging = true;
      fingers.set(event.pointerId, now);
      if (stage.movable) pan(now.x - before.x, now.y - before.y);
      else pointAt(now);
    }
  }, listen);

  /** @param {{x: number, y: number}} before @param {{x: number, y: number}} now @param {{x: number, y: number}} other */
  function pinch(before, now, other) {
    pointing.hide();
    const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
    const grown = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
    zoom(looking.view.zoom * grown, middle, true);
    pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
    root.addEventListener(name, (event) => {
      if (fingers.delete(event.pointerId) && dragging && stage.movable) move(looking.view);
      dragging = false;
    }, listen);
  }
  root.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && pointing.hide(), listen);
  root.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !stage.drawn) return;
    event.preventDefault();
    zoom(looking.view.zoom * Math.exp(-event.deltaY * 0.01), at(event), true);
  }, { signal: stop.signal, passive: false });

  /** @type {Record<string, () => void>} */
  const stageKeys = {
    ArrowUp: () => pan(0, KEY_STEP_PX), ArrowDown: () => pan(0, -KEY_STEP_PX),
    "+": acts.larger, "=": acts.larger, "-": acts.smaller, 0: acts.fit, r: acts.turn, R: acts.turn, Escape: pointing.hide,
    Home: () => turnPage(1 - looking.view.page),
    End: () => turnPage((stage.record(looking.view.record_id)?.page_count ?? 1) - looking.view.page),
  };
  /** @type {Record<string, () => void>} */
  const pageKeys = { ArrowLeft: acts.previous, ArrowRight: acts.next, PageUp: acts.previous, PageDown: acts.next };
  /** @type {Record<string, [number, number]>} */
  const pointKeys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  document.addEventListener("keydown", (event) => {
    if (!stage.drawn || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const onStage = event.target === root;
    const step = onStage && event.shiftKey ? pointKeys[event.key] : undefined;
    const act = event.shiftKey && event.key !== "+" && event.key !== "R" ? undefined
      : (pageKeys[event.key] ?? (onStage ? stageKeys[event.key] : undefined));
    if (step) {
      spot = { x: limit(spot.x + step[0] * POINT_STEP), y: limit(spot.y + step[1] * POINT_STEP) };
      pointing.point(spot.x, spot.y);
    } else if (act) act();
    else return;
    event.preventDefault();
  }, listen);

  return {
    act: (name) => acts[name]?.(),
    unmount: () => stop.abort(),
  };
}

/** @param {View} view @typedef {import("./view.js").View} View */
export function canZoom(view) {
  return { larger: view.zoom < LARGEST_ZOOM - 0.01, smaller: view.zoom > SMALLEST_ZOOM + 0.01 };
}

/** @param {EventTarget|null} target arrow keys belong to fields, choices and open dialogs first */
function isTyping(target) {
  return target instanceof Element && !!target.closest("input, textarea, select, dialog, [role=log], .ask-list");
}

/** @param {number} value */
function limit(value) {
  return Math.min(1, Math.max(0, value));
}
