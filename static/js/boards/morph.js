// @ts-check
/**
 * Makes an element equal to a fresh one from the server, changing only what differs: focus, scroll positions and open
 * menus stay. Elements with the same data-key among the same parent's children are the same element.
 */

/** @param {Element} old @param {Element} fresh */
export function morph(old, fresh) {
  const focused = document.activeElement;
  const section = focused instanceof HTMLElement ? focused.closest("section[aria-labelledby]") : null;
  makeEqual(old, fresh);
  if (!(focused instanceof HTMLElement) || document.activeElement === focused) return;
  if (focused.isConnected) focused.focus({ preventScroll: true });
  else if (old.contains(section)) {
    // What had the focus is gone: its list goes on from its heading.
    const title = document.getElementById(section?.getAttribute("aria-labelledby") ?? "");
    if (title) {
      title.tabIndex = -1;
      title.focus({ preventScroll: true });
    }
  }
}

/** @param {Node} old @param {Node} fresh */
function makeEqual(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!(old instanceof Element) || !(fresh instanceof Element)) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    if (name !== "style" && !fresh.hasAttribute(name)) old.removeAttribute(name); // style is the script's own
  }
  makeChildrenEqual(old, fresh);
}

/** @param {Element} old @param {Element} fresh */
function makeChildrenEqual(old, fresh) {
  const wanted = new Set([...fresh.childNodes].map(keyOf));
  /** @type {Map<string, ChildNode>} */
  const kept = new Map();
  for (const child of [...old.childNodes]) {
    const key = keyOf(child);
    if (!key) continue;
    if (wanted.has(key) && !kept.has(key)) kept.set(key, child);
    else child.remove();
  }
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const key = keyOf(child);
    const same = key ? kept.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : undefined;
    if (!same) {
      old.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    makeEqual(same, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? (node.getAttribute("data-key") ?? "") : "";
}
