// @ts-check
/** How places in a call are written: 14:32, and 1:02:03 from an hour on. */

/** @param {number} ms */
export function clockText(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const seconds = two(all % 60);
  if (all < 3600) return `${two(Math.floor(all / 60))}:${seconds}`;
  return `${Math.floor(all / 3600)}:${two(Math.floor((all % 3600) / 60))}:${seconds}`;
}
