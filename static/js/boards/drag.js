// @ts-check
/**
 * Dragging a block by mouse, pen or finger. With a mouse the whole block is the handle; a finger drags by the button
 * "Move", so that the page still scrolls under it everywhere else.
 */

const FAR_PX = 6; // less is a press
const EDGE_PX = 56;
const STEP_PX = 14;

/** @typedef {{clientX: number, clientY: number}} Point */

/**
 * @param {HTMLElement} root
 * @param {object} hands
 * @param {(block: HTMLElement) => void} hands.begin
 * @param {(button: HTMLElement | null) => void} hands.over which target the pointer is over
 * @param {(button: HTMLElement | null, at: Point) => void} hands.drop
 * @param {() => void} hands.leave it was let go by Escape, or the browser took the pointer
 */
export function letDrag(root, { begin, over, drop, leave }) {
  root.addEventListener("dragstart", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-move]")) event.preventDefault(); // a link's own
  });
  root.addEventListener("pointerdown", (event) => {
    const block = event.target instanceof Element ? event.target.closest("[data-move]") : null;
    if (!(block instanceof HTMLElement) || event.button !== 0 || !event.isPrimary) return;
    const onHandle = event.target instanceof Element && event.target.closest("[data-move-button]");
    if (event.pointerType !== "mouse" && !onHandle) return;
    follow(block, event);
  });

  /** @param {HTMLElement} block @param {PointerEvent} first */
  function follow(block, first) {
    /** @type {HTMLElement | null} */
    let ghost = null;

    /** @param {PointerEvent} event */
    function move(event) {
      if (event.pointerId !== first.pointerId) return;
      if (!ghost) {
        if (Math.hypot(event.clientX - first.clientX, event.clientY - first.clientY) < FAR_PX) return;
        ghost = makeGhost(block);
        begin(block);
      }
      event.preventDefault();
      ghost.style.translate = `${event.clientX - first.clientX}px ${event.clientY - first.clientY}px`;
      scrollNear(event);
      over(targetAt(event));
    }

    /** @param {PointerEvent} event */
    function end(event) {
      if (event.pointerId !== first.pointerId) return;
      for (const [kind, listener] of listeners) window.removeEventListener(kind, listener);
      window.removeEventListener("keydown", escape, true);
      if (!ghost) return;
      ghost.remove();
      swallowClick();
      if (event.type === "pointerup") drop(targetAt(event), event);
      else leave();
    }

    /** @param {KeyboardEvent} event */
    function escape(event) {
      if (event.key !== "Escape" || !ghost) return;
      for (const [kind, listener] of listeners) window.removeEventListener(kind, listener);
      window.removeEventListener("keydown", escape, true);
      ghost.remove();
      swallowClick();
      leave();
    }

    /** @type {[string, EventListener][]} */
    const listeners = [
      ["pointermove", /** @type {EventListener} */ (move)],
      ["pointerup", /** @type {EventListener} */ (end)],
      ["pointercancel", /** @type {EventListener} */ (end)],
    ];
    for (const [kind, listener] of listeners) window.addEventListener(kind, listener, { passive: false });
    window.addEventListener("keydown", escape, true);
  }
}

/** @param {HTMLElement} block */
function makeGhost(block) {
  const { left, top, width, height } = block.getBoundingClientRect();
  const ghost = /** @type {HTMLElement} */ (block.cloneNode(true));
  ghost.classList.add("move-ghost");
  ghost.inert = true;
  for (const name of ["data-key", "data-move", "data-from"]) ghost.removeAttribute(name);
  Object.assign(ghost.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  document.body.append(ghost);
  return ghost;
}

/**
 * The free time at a place of the window.
 * @param {Point} at
 */
export function targetAt({ clientX, clientY }) {
  for (const found of document.elementsFromPoint(clientX, clientY)) {
    const button = found.closest("[data-target]");
    if (button instanceof HTMLElement) return button;
  }
  return null;
}

/** @param {PointerEvent} event */
function scrollNear(event) {
  if (event.clientY > window.innerHeight - EDGE_PX) window.scrollBy(0, STEP_PX);
  if (event.clientY < EDGE_PX) window.scrollBy(0, -STEP_PX);
  const frame = document.querySelector("[data-day-frame]");
  if (!frame) return;
  const { left, right } = frame.getBoundingClientRect();
  if (event.clientX > right - EDGE_PX) frame.scrollBy(STEP_PX, 0);
  if (event.clientX < left + EDGE_PX) frame.scrollBy(-STEP_PX, 0);
}

/** The press that ends a drag is none on the link under it. */
function swallowClick() {
  /** @param {Event} event */
  const swallow = (event) => {
    event.preventDefault();
    event.stopPropagation();
  };
  window.addEventListener("click", swallow, { capture: true, once: true });
  window.setTimeout(() => window.removeEventListener("click", swallow, { capture: true }), 50);
}
